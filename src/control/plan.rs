//! The moves that a switch makes.

use std::collections::BTreeSet;

use super::{ControlError, find};
use crate::model::{AppName, DomainName, PoolName, SwitchStep, Tag, VirtualHost};
use crate::state::{AppNode, Snapshot};

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

/// Works out the moves. A name that is no domain may be that of an app: all of its domains are meant.
pub(super) fn plan(
    snapshot: &Snapshot,
    names: &[DomainName],
    target: &SwitchTarget,
) -> Result<Plan, ControlError> {
    if names.is_empty() {
        return Err(ControlError::NoDomain);
    }
    let mut plan = Plan { steps: Vec::new(), unchanged: Vec::new() };
    let mut seen = BTreeSet::new();
    for name in names {
        for (virtual_host, to) in moves(snapshot, name, target)? {
            let domain = virtual_host.domain.clone();
            if !seen.insert(domain.clone()) {
                return Err(ControlError::NamedTwice { name: name.clone() });
            }
            let mut left = virtual_host.live_tags().filter(|tag| **tag != to).peekable();
            if left.peek().is_none() {
                plan.unchanged.push(domain);
                continue;
            }
            find::carried(snapshot, &virtual_host.pool(&to))?;
            plan.steps.extend(left.map(|from| SwitchStep {
                domain: domain.clone(),
                from: from.clone(),
                to: to.clone(),
            }));
        }
    }
    Ok(plan)
}

/// The domains that a name stands for, each with the tag that it is to move to.
fn moves<'a>(
    snapshot: &'a Snapshot,
    name: &DomainName,
    target: &SwitchTarget,
) -> Result<Vec<(&'a VirtualHost, Tag)>, ControlError> {
    let app = name.to_string().parse::<AppName>().ok().and_then(|name| snapshot.app(&name));
    let domain = match (snapshot.domain(name), app) {
        (Some(node), None) => Ok(node),
        (Some(node), Some(_)) => {
            Err(ControlError::Ambiguous { name: node.virtual_host.domain.clone() })
        }
        (None, Some(app)) => return moves_of_app(snapshot, app, target),
        (None, None) => find::domain(snapshot, name),
    };
    let virtual_host = &domain?.virtual_host;
    let to = match target {
        SwitchTarget::Tag(tag) => tag.clone(),
        SwitchTarget::Other => other_tag(snapshot, virtual_host)?,
        SwitchTarget::Previous => previous_tag(snapshot, virtual_host)?,
    };
    Ok(vec![(virtual_host, to)])
}

/// All domains of an app move to one tag. One that was added since the last move goes along with the others.
fn moves_of_app<'a>(
    snapshot: &'a Snapshot,
    app: &AppNode,
    target: &SwitchTarget,
) -> Result<Vec<(&'a VirtualHost, Tag)>, ControlError> {
    let hosts = app.domains().filter_map(|domain| snapshot.domain(domain));
    let hosts: Vec<_> = hosts.map(|node| &node.virtual_host).collect();
    let name = || app.app.name.clone();
    let first = *hosts.first().ok_or_else(|| ControlError::NoHost { app: name() })?;
    if let Some(other) = hosts.iter().find(|host| host.live != first.live)
        && !matches!(target, SwitchTarget::Tag(_))
    {
        let domains = [first, other].map(|host| (host.domain.clone(), host.live.clone())).into();
        return Err(ControlError::AppIsSplit { app: name(), domains });
    }
    let moved = hosts.iter().find(|host| host.previous.is_some()).copied();
    let to = match target {
        SwitchTarget::Tag(tag) => tag.clone(),
        SwitchTarget::Other => other_tag(snapshot, moved.unwrap_or(first))?,
        SwitchTarget::Previous => previous_tag(snapshot, moved.unwrap_or(first))?,
    };
    Ok(hosts.into_iter().map(|host| (host, to.clone())).collect())
}

/// The pools that become live by `steps`.
pub(super) fn joined(
    snapshot: &Snapshot,
    steps: &[SwitchStep],
) -> Result<BTreeSet<PoolName>, ControlError> {
    let pool =
        |step: &SwitchStep| Ok(find::domain(snapshot, &step.domain)?.virtual_host.pool(&step.to));
    steps.iter().map(pool).collect()
}

/// A domain in no app that would join the backends of another one with which it never shared any: of which
/// step, and which domain.
pub(super) fn foreign<'a>(
    snapshot: &'a Snapshot,
    steps: &'a [SwitchStep],
) -> Option<(&'a SwitchStep, &'a DomainName)> {
    let moves = |domain: &DomainName| steps.iter().any(|step| step.domain == *domain);
    steps.iter().find_map(|step| {
        let own = &snapshot.domain(&step.domain)?.virtual_host;
        if own.app().is_some() || own.previous.as_ref() == Some(&step.to) {
            return None;
        }
        let others = snapshot.domains().map(|node| &node.virtual_host);
        let mut there = others.filter(|other| {
            other.app().is_none() && other.live == step.to && !moves(&other.domain)
        });
        // One that came from the tag on which this one is now has shown the way.
        let first = there.next()?;
        let is_sibling = |other: &VirtualHost| other.previous.as_ref() == Some(&own.live);
        let has_sibling = is_sibling(first) || there.any(is_sibling);
        (!has_sibling).then_some((step, &first.domain))
    })
}

/// The tag before; or, of a domain that was never switched, the only tag beside the live one.
fn previous_tag(snapshot: &Snapshot, virtual_host: &VirtualHost) -> Result<Tag, ControlError> {
    // What was begun last was to give other tags a share.
    if !virtual_host.beside.tags().is_empty() {
        return Ok(virtual_host.live.clone());
    }
    let previous = virtual_host.previous.as_ref();
    let domain = virtual_host.domain.clone();
    let previous = previous.ok_or(ControlError::NothingToUndo { domain })?;
    if snapshot.pool(&virtual_host.pool(previous)).is_some() {
        return Ok(previous.clone());
    }
    Err(no_other_tag(snapshot, virtual_host))
}

fn no_other_tag(snapshot: &Snapshot, virtual_host: &VirtualHost) -> ControlError {
    ControlError::NoOtherTag {
        domain: virtual_host.domain.clone(),
        live: virtual_host.live.clone(),
        previous: virtual_host.previous.clone(),
        known: snapshot.tags(virtual_host.app()).into_iter().cloned().collect(),
    }
}

fn other_tag(snapshot: &Snapshot, virtual_host: &VirtualHost) -> Result<Tag, ControlError> {
    if let Some(previous) = &virtual_host.previous
        && snapshot.pool(&virtual_host.pool(previous)).is_some()
    {
        return Ok(previous.clone());
    }
    let known = snapshot.tags(virtual_host.app());
    let mut others = known.into_iter().filter(|tag| **tag != virtual_host.live);
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(no_other_tag(snapshot, virtual_host)),
    }
}
