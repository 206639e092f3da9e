//! The moves that a switch makes.

use std::collections::BTreeSet;

use super::{ControlError, find};
use crate::model::{DomainName, SwitchStep, Tag, VirtualHost};
use crate::state::Snapshot;

/// Where domains are to move.
#[derive(Debug, Clone)]
pub(crate) enum SwitchTarget {
    /// All to this tag.
    Tag(Tag),
    /// Each to its other tag.
    Other,
    /// Each back to the tag before.
    Previous,
}

/// The moves that a switch will make.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<SwitchStep>,
    pub(super) unchanged: Vec<DomainName>,
}

/// Works out the moves.
pub(super) fn plan(
    snapshot: &Snapshot,
    domains: &[DomainName],
    target: &SwitchTarget,
) -> Result<Plan, ControlError> {
    if domains.is_empty() {
        return Err(ControlError::NoDomain);
    }
    let mut plan = Plan { steps: Vec::new(), unchanged: Vec::new() };
    let mut seen = BTreeSet::new();
    for name in domains {
        let virtual_host = &find::domain(snapshot, name)?.virtual_host;
        let domain = virtual_host.domain.clone();
        if !seen.insert(domain.clone()) {
            return Err(ControlError::NamedTwice { name: name.clone() });
        }
        let to = match target {
            SwitchTarget::Tag(tag) => tag.clone(),
            SwitchTarget::Other => other_tag(snapshot, virtual_host)?,
            SwitchTarget::Previous => virtual_host
                .previous
                .clone()
                .ok_or_else(|| ControlError::NothingToUndo { domain: domain.clone() })?,
        };
        if to == virtual_host.live {
            plan.unchanged.push(domain);
        } else {
            find::carried(snapshot, &to)?;
            plan.steps.push(SwitchStep { domain, from: virtual_host.live.clone(), to });
        }
    }
    Ok(plan)
}

/// The tag before; or, of a domain that was never switched, the only tag beside the live one.
fn other_tag(snapshot: &Snapshot, virtual_host: &VirtualHost) -> Result<Tag, ControlError> {
    if let Some(previous) = &virtual_host.previous
        && snapshot.pool(previous).is_some()
    {
        return Ok(previous.clone());
    }
    let known: Vec<Tag> = snapshot.tags().into_iter().cloned().collect();
    let mut others = known.iter().filter(|tag| **tag != virtual_host.live);
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(ControlError::NoOtherTag {
            domain: virtual_host.domain.clone(),
            live: virtual_host.live.clone(),
            previous: virtual_host.previous.clone(),
            known,
        }),
    }
}
