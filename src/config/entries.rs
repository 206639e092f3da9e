//! `[[virtual_hosts]]` and `[[backends]]`: what each says, and what they say together.

use std::collections::{BTreeMap, BTreeSet};

use super::declared::{Declared, DeclaredBackend, DeclaredDomain};
use super::reader::Section;
use super::report::Span;
use super::value::{boolean, choice, parsed, weight};
use crate::model::{BackendId, BackendState, Balance, DomainName, Scheme, Tag, Weight};

/// Reads all entries and checks them against each other.
pub(super) fn read_declared(root: &mut Section<'_, '_>) -> Declared {
    let mut ids = BTreeMap::new();
    let mut tags = Some(BTreeSet::new());
    let backends = root.entries("backends", "id", |entry| read_backend(entry, &mut ids, &mut tags));
    let mut names = BTreeMap::new();
    let domains = root
        .entries("virtual_hosts", "domain", |entry| read_domain(entry, &mut names, tags.as_ref()));
    Declared {
        domains: domains.into_iter().flatten().collect(),
        backends: backends.into_iter().flatten().collect(),
    }
}

/// Reads a backend. `tags` gathers the tags that exist; nothing is known of them once one backend's
/// are wrong.
fn read_backend(
    entry: &mut Section<'_, '_>,
    ids: &mut BTreeMap<BackendId, usize>,
    tags: &mut Option<BTreeSet<Tag>>,
) -> Option<DeclaredBackend> {
    let id = entry.required("id", "\"web-1\"", parsed::<BackendId>);
    if let Some(id) = &id {
        let line = entry.report().line(&entry.span_of("id"));
        match ids.get(id) {
            Some(first) => entry.problem("id", format!("the backend on line {first} has this id")),
            None => _ = ids.insert(id.clone(), line),
        }
    }
    let address = entry.required("address", "\"127.0.0.1:3001\"", parsed);
    let own_tags = entry
        .required_list("tags", "[\"a\"]", parsed::<Tag>)
        .map(|list| list.into_iter().map(|(tag, _)| tag).collect::<BTreeSet<_>>());
    match (&own_tags, &mut *tags) {
        (Some(own), Some(all)) => all.extend(own.iter().cloned()),
        _ => *tags = None,
    }
    let weight = entry.or("weight", Weight::default(), weight);
    let scheme = entry.or("scheme", Scheme::default(), parsed);
    let states = [BackendState::Ready, BackendState::Draining, BackendState::Disabled];
    let state = entry.optional("state", choice(&states.map(|state| (state.as_str(), state))));
    Some(DeclaredBackend { id: id?, address: address?, tags: own_tags?, weight, scheme, state })
}

fn read_domain(
    entry: &mut Section<'_, '_>,
    names: &mut BTreeMap<DomainName, (usize, String)>,
    tags: Option<&BTreeSet<Tag>>,
) -> Option<DeclaredDomain> {
    let domain = entry.required("domain", "\"example.com\"", parsed::<DomainName>);
    if let Some(domain) = &domain {
        let (span, path) = (entry.span_of("domain"), entry.path_of("domain"));
        claim_name(entry, names, domain, &span, path);
    }
    let aliases = entry.list("aliases", "[\"www.example.com\"]", parsed::<DomainName>);
    for (index, (alias, span)) in aliases.iter().flatten().enumerate() {
        let path = format!("{}[{index}]", entry.path_of("aliases"));
        claim_name(entry, names, alias, span, path);
    }
    let live = entry.required("enabled_backends_tag", "\"a\"", parsed::<Tag>);
    if let (Some(live), Some(tags)) = (&live, tags)
        && !tags.contains(live)
    {
        let message = format!("no backend carries this tag; {}", list_tags(tags));
        entry.problem("enabled_backends_tag", message);
    }
    let http_to_https = entry.or("http_to_https", true, boolean);
    let balance = entry.or("balance", Balance::default(), parsed);
    Some(DeclaredDomain {
        domain: domain?,
        aliases: aliases.into_iter().flatten().map(|(alias, _)| alias).collect(),
        live: live?,
        http_to_https,
        balance,
    })
}

/// Says which tags exist; some of them, when there are many.
fn list_tags(tags: &BTreeSet<Tag>) -> String {
    const MOST: usize = 10;
    let mut words: Vec<_> = tags.iter().take(MOST).map(|tag| format!("`{tag}`")).collect();
    if tags.len() > MOST {
        words.push(format!("{} more", tags.len() - MOST));
    }
    match words.as_slice() {
        [] => "there are no tags at all".to_owned(),
        [only] => format!("the only tag is {only}"),
        [others @ .., last] => format!("there are {} and {last}", others.join(", ")),
    }
}

/// Makes sure that a name stands for one virtual host only.
fn claim_name(
    entry: &Section<'_, '_>,
    names: &mut BTreeMap<DomainName, (usize, String)>,
    name: &DomainName,
    span: &Span,
    path: String,
) {
    let line = entry.report().line(span);
    if let Some((first, first_path)) = names.get(name) {
        let message = format!("line {first} has this name already (`{first_path}`)");
        entry.report().add(span, path, Some(name.to_string()), message);
    } else {
        names.insert(name.clone(), (line, path));
    }
}
