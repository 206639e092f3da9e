//! To which of a domain's tags a request goes.

use super::facts::Facts;
use crate::proxy::host::split::{Newcomer, asked_for, tag_of};
use crate::proxy::host::{HostServices, preview};
use crate::state::{DomainNode, Way};

/// To which of a domain's tags a request goes: by its path; else to the one that its client asks for and may; else
/// to the one that its client has a share of; else to the live one.
pub(crate) fn way_of(
    domain: &DomainNode,
    facts: &Facts<'_>,
    hosts: &HostServices,
    newcomer: &mut Option<Newcomer>,
) -> Way {
    let by_path = domain.way_of_path(facts.path());
    if by_path != Way::Live || !domain.has_choice() {
        return by_path;
    }
    asked(domain, facts, hosts).or_else(|| shared(domain, facts, newcomer)).unwrap_or(Way::Live)
}

fn asked(domain: &DomainNode, facts: &Facts<'_>, hosts: &HostServices) -> Option<Way> {
    let (request, virtual_host) = (facts.request, &domain.virtual_host);
    if let Some(preview) = preview::of_cookie(request, virtual_host, &hosts.sticky) {
        return domain.way_to(&preview.tag, Way::Asked);
    }
    let tag = asked_for(virtual_host.options.get(), request, facts.client)?;
    domain.way_to(&tag.parse().ok()?, Way::Asked)
}

fn shared(domain: &DomainNode, facts: &Facts<'_>, newcomer: &mut Option<Newcomer>) -> Option<Way> {
    let split = domain.virtual_host.beside.split.as_ref()?;
    let options = domain.virtual_host.options.get();
    let tag = tag_of(split, options, facts.request, facts.client, newcomer)?;
    domain.way_to(tag, Way::Share)
}
