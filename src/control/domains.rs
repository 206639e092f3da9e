//! Commands on virtual hosts.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::edit::Edit;
use super::{Caller, ControlError, ControlPlane, Effect, Reach, find};
use crate::model::record::{self, Differing, Record};
use crate::model::{Beside, Change, DomainName, EventKind, OptionError, VirtualHost};
use crate::state::Snapshot;

/// A virtual host to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewDomain {
    /// What it will be.
    pub virtual_host: VirtualHost,
    /// Add it although no backend carries its tag.
    pub force: bool,
}

/// What is to change about a virtual host; what is not given stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct DomainEdit {
    /// What changes of the options at its top.
    pub top: Map<String, Value>,
    /// What it does besides: a JSON merge patch (RFC 7396) of its options.
    pub options: Map<String, Value>,
}

impl ControlPlane {
    /// Adds a virtual host.
    ///
    /// # Errors
    /// When a name is taken, no backend carries the tag, a file that it names can't be had, or it can't be
    /// saved.
    pub(crate) async fn add_domain(
        &self,
        caller: impl Into<Caller> + Send,
        new: NewDomain,
    ) -> Result<Effect, ControlError> {
        self.edit_reading(caller, move |snapshot, reach| add(snapshot, &new, reach).map(Some)).await
    }

    /// Changes a virtual host's options.
    ///
    /// # Errors
    /// When there is no such domain, an alias is taken, no backend carries the tag of a new path, a file
    /// that it names can't be had, or it can't be saved.
    pub(crate) async fn set_domain(
        &self,
        caller: impl Into<Caller> + Send,
        domain: DomainName,
        edit: DomainEdit,
    ) -> Result<Effect, ControlError> {
        self.edit_reading(caller, move |snapshot, reach| {
            set(snapshot, &domain, edit.clone(), reach)
        })
        .await
    }

    /// Removes a virtual host with its aliases. Its requests in flight end as they would have.
    ///
    /// # Errors
    /// When there is no such domain, or it can't be saved.
    pub(crate) async fn remove_domain(
        &self,
        caller: impl Into<Caller> + Send,
        domain: DomainName,
    ) -> Result<Effect, ControlError> {
        self.edit(caller, move |snapshot| {
            let domain = find::domain(snapshot, &domain)?.virtual_host.domain.clone();
            let event = EventKind::DomainRemoved { domain: domain.clone() };
            Ok(Some(Edit::new(vec![Change::DropDomain(domain)], event)))
        })
        .await
    }
}

fn add(snapshot: &Snapshot, new: &NewDomain, reach: &Reach) -> Result<Edit, ControlError> {
    let mut virtual_host = new.virtual_host.clone();
    // Otherwise its own name would count as its own, and it would replace what is there.
    if let Some(owner) = snapshot.domain(&virtual_host.domain) {
        let owner = owner.virtual_host.domain.clone();
        return Err(ControlError::DomainExists { name: virtual_host.domain, owner });
    }
    check_names(snapshot, &virtual_host)?;
    check_options(&virtual_host)?;
    reach.place_pages(None, &mut virtual_host)?;
    find::named_app(snapshot, virtual_host.app())?;
    if !new.force {
        virtual_host.serving_pools().try_for_each(|pool| find::carried(snapshot, &pool))?;
    }
    let event = EventKind::DomainAdded {
        domain: virtual_host.domain.clone(),
        live: virtual_host.live.clone(),
    };
    Ok(Edit::new(vec![Change::PutDomain(virtual_host)], event))
}

fn set(
    snapshot: &Snapshot,
    domain: &DomainName,
    edit: DomainEdit,
    reach: &Reach,
) -> Result<Option<Edit>, ControlError> {
    let before = &find::domain(snapshot, domain)?.virtual_host;
    let mut after = before.clone();
    let refuse = |error| ControlError::domain_option(&before.domain, error);
    after.top = record::patched(&before.top, edit.top).map_err(refuse)?;
    after.options = before.options.patched(edit.options).map_err(refuse)?;
    check_names(snapshot, &after)?;
    check_options(&after)?;
    reach.place_pages(Some(before), &mut after)?;
    find::named_app(snapshot, after.app())?;
    let served: Vec<_> = before.serving_pools().collect();
    for pool in after.serving_pools().filter(|pool| !served.contains(pool)) {
        find::carried(snapshot, &pool)?;
    }
    if after.app() != before.app() {
        // The tag before is one of the other app.
        after.previous = None;
        after.beside = Beside::default();
    }
    let changed = changes(before.differences(&after));
    if changed.is_empty() {
        return Ok(None);
    }
    let event = EventKind::DomainSet { domain: after.domain.clone(), changed };
    Ok(Some(Edit::new(vec![Change::PutDomain(after)], event)))
}

/// The options are such as a config file may have.
fn check_options(virtual_host: &VirtualHost) -> Result<(), ControlError> {
    let VirtualHost { domain, top, .. } = virtual_host;
    let of_tls = top.tls.problem_of(domain).map(|problem| OptionError::new("tls", problem));
    match of_tls.into_iter().chain(top.problems()).next() {
        None => Ok(()),
        Some(problem) => Err(ControlError::domain_option(domain, problem)),
    }
}

/// How the history tells what changed.
pub(super) fn changes(differing: Vec<Differing>) -> Vec<String> {
    differing.into_iter().map(|(key, was, is)| format!("{key}: {was} → {is}")).collect()
}

/// Every name of a virtual host is its own, and stands once.
pub(super) fn check_names(
    snapshot: &Snapshot,
    virtual_host: &VirtualHost,
) -> Result<(), ControlError> {
    let is_new = snapshot
        .domain(&virtual_host.domain)
        .is_none_or(|owner| owner.virtual_host.domain != virtual_host.domain);
    let mut seen = BTreeSet::new();
    for name in virtual_host.names() {
        if !seen.insert(name) {
            return Err(ControlError::NamedTwice { name: name.clone() });
        }
        if let Some(owner) = snapshot.domain(name)
            && (is_new || owner.virtual_host.domain != virtual_host.domain)
        {
            let owner = owner.virtual_host.domain.clone();
            return Err(ControlError::DomainExists { name: name.clone(), owner });
        }
    }
    Ok(())
}
