//! The three-way merge of a config file: what changed *in the file* since it was last applied is
//! applied, and nothing else moves. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::domains::changes;
use super::{ControlError, files, find};
use crate::config::{Declared, DeclaredApp, DeclaredBackend};
use crate::model::record;
use crate::model::{
    App, AppName, Backend, BackendId, Change, DomainName, EntryAction, EntryChange, EntryKind,
    PoolName, SwitchStep, VirtualHost,
};
use crate::state::Snapshot;

/// What the live state must change by.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) changes: Vec<Change>,
    /// The same, for people.
    pub(super) entries: Vec<EntryChange>,
    /// The domains among it.
    pub(super) domains: Vec<DomainName>,
    /// Those of them that were there before and move to another tag.
    pub(super) steps: Vec<SwitchStep>,
}

/// What becomes of a backend for which a change of the file and one of a command do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clash {
    /// The file is refused.
    Refused,
    /// What the file says of it holds as a whole: a start must not fail for that.
    FileHolds,
}

/// Merges what `declared` changes about `applied` into `live`.
///
/// # Errors
/// When the file now declares what a command has made with other values, or a name is taken.
pub(super) fn merge(
    live: &Snapshot,
    applied: &Declared,
    declared: &Declared,
    clash: Clash,
) -> Result<Merged, ControlError> {
    let mut merged = Merged::default();
    merge_apps(live, applied, declared, &mut merged)?;
    merge_backends(live, applied, declared, clash, &mut merged)?;
    merge_domains(live, applied, declared, &mut merged)?;
    remove_apps(live, applied, declared, &mut merged);
    check_names(live, &merged.changes)?;
    Ok(merged)
}

/// Whether both declare the same, in whatever order.
pub(super) fn same(one: &Declared, other: &Declared) -> bool {
    one == other
        || one.domains.len() == other.domains.len()
            && one.backends.len() == other.backends.len()
            && one.apps.len() == other.apps.len()
            && domains_of(one) == domains_of(other)
            && backends_of(one) == backends_of(other)
            && apps_of(one) == apps_of(other)
}

/// Checks that every domain that was served still is: some backend of `next`, the state after
/// `merged`, carries its live tag.
pub(super) fn check_served(
    live: &Snapshot,
    next: &Snapshot,
    merged: &Merged,
) -> Result<(), ControlError> {
    let lost: BTreeSet<&PoolName> =
        live.pools().into_iter().filter(|pool| next.pool(pool).is_none()).collect();
    let unserved = |name: &DomainName, pool: PoolName| {
        let carriers = live.pool(&pool).into_iter().flat_map(|pool| pool.backends());
        ControlError::FileUnserved {
            domain: name.clone(),
            tag: pool.tag.clone(),
            backends: carriers.map(|node| node.backend.id.clone()).collect(),
        }
    };
    let moved = merged.steps.iter().filter_map(|step| next.domain(&step.domain));
    if let Some(node) = moved.into_iter().find(|node| next.pool(&node.live().pool).is_none()) {
        return Err(unserved(&node.virtual_host.domain, node.live().pool.clone()));
    }
    if lost.is_empty() {
        return Ok(());
    }
    // Only what serves now can lose its service.
    let loser = next.domains().map(|node| &node.virtual_host).find_map(|virtual_host| {
        let before = &live.domain(&virtual_host.domain)?.virtual_host;
        let pool = virtual_host.serving_pools().find(|pool| {
            lost.contains(pool)
                && before.domain == virtual_host.domain
                && before.serving_pools().any(|served| served == *pool)
        })?;
        Some((&virtual_host.domain, pool))
    });
    loser.map_or(Ok(()), |(domain, pool)| Err(unserved(domain, pool)))
}

fn domains_of(declared: &Declared) -> BTreeMap<&DomainName, &VirtualHost> {
    declared.domains.iter().map(|domain| (&domain.domain, domain)).collect()
}

fn backends_of(declared: &Declared) -> BTreeMap<&BackendId, &DeclaredBackend> {
    declared.backends.iter().map(|backend| (&backend.id, backend)).collect()
}

fn apps_of(declared: &Declared) -> BTreeMap<&AppName, &DeclaredApp> {
    declared.apps.iter().map(|app| (&app.name, app)).collect()
}

impl Merged {
    fn tell(
        &mut self,
        kind: EntryKind,
        name: &impl ToString,
        action: EntryAction,
        changes: Vec<String>,
    ) {
        self.entries.push(EntryChange { kind, name: name.to_string(), action, changes });
    }

    /// Tells one thing more that changes about an entry.
    pub(super) fn tell_more(&mut self, kind: EntryKind, name: &impl ToString, change: String) {
        let text = name.to_string();
        match self.entries.iter_mut().find(|entry| entry.kind == kind && entry.name == text) {
            Some(entry) => entry.changes.push(change),
            None => self.tell(kind, name, EntryAction::Changed, vec![change]),
        }
    }
}

fn merge_apps(
    live: &Snapshot,
    applied: &Declared,
    declared: &Declared,
    merged: &mut Merged,
) -> Result<(), ControlError> {
    let before = apps_of(applied);
    for new in &declared.apps {
        let old = before.get(&new.name).copied();
        if old == Some(new) {
            continue;
        }
        let now = live.app(&new.name).map(|node| &node.app);
        let next = match (old, now) {
            (_, None) => App::new(new.name.clone(), new.options.clone()),
            (None, Some(made)) => {
                let differs = changes(
                    made.differences(&App { options: new.options.clone(), ..made.clone() }),
                );
                if differs.is_empty() {
                    continue;
                }
                let (kind, name) = (EntryKind::App, new.name.to_string());
                return Err(ControlError::FileConflict { kind, name, differs, made: None });
            }
            (Some(old), Some(now)) => App {
                options: record::merged(&now.options, &old.options, &new.options),
                ..now.clone()
            },
        };
        match now {
            None => merged.tell(EntryKind::App, &new.name, EntryAction::Added, Vec::new()),
            Some(now) => {
                let changed = changes(now.differences(&next));
                if changed.is_empty() {
                    continue;
                }
                merged.tell(EntryKind::App, &new.name, EntryAction::Changed, changed);
            }
        }
        merged.changes.push(Change::PutApp(next));
    }
    Ok(())
}

/// Removes the apps that the file has no more, after what the file had in them.
fn remove_apps(live: &Snapshot, applied: &Declared, declared: &Declared, merged: &mut Merged) {
    let kept = apps_of(declared);
    for old in apps_of(applied).into_keys().filter(|name| !kept.contains_key(name)) {
        if live.app(old).is_some() {
            merged.tell(EntryKind::App, old, EntryAction::Removed, Vec::new());
            merged.changes.push(Change::DropApp(old.clone()));
        }
    }
}

/// Whoever names an app in `next`, the state after `merged`, names one that there is.
pub(super) fn check_apps(next: &Snapshot, merged: &Merged) -> Result<(), ControlError> {
    for change in &merged.changes {
        match change {
            Change::PutDomain(virtual_host) => find::named_app(next, virtual_host.app())?,
            Change::PutBackend(backend) => find::named_app(next, backend.options.app.as_ref())?,
            Change::DropApp(name) => {
                let of_domains = next.domains().map(|node| {
                    (
                        node.virtual_host.app(),
                        EntryKind::Domain,
                        node.virtual_host.domain.to_string(),
                    )
                });
                let of_backends = next.backends().map(|node| {
                    let backend = &node.backend;
                    (backend.options.app.as_ref(), EntryKind::Backend, backend.id.to_string())
                });
                let mut named = of_domains.chain(of_backends);
                if let Some((_, kind, by)) = named.find(|(app, ..)| *app == Some(name)) {
                    return Err(ControlError::AppInUse { app: name.clone(), kind, by });
                }
            }
            Change::DropDomain(_) | Change::DropBackend(_) | Change::PutApp(_) => {}
        }
    }
    Ok(())
}

/// Whether a deploy has put another server, or none, in the place of a backend of the file. What the file says of
/// it since is no more about what serves.
fn was_replaced(live: &Snapshot, old: &DeclaredBackend) -> bool {
    let app = old.options.app.as_ref().and_then(|app| live.app(app));
    let is_deployed = |app: &App| app.releases.values().any(|of| of.deployed_at_ms.is_some());
    app.is_some_and(|node| is_deployed(&node.app))
        && live.backend(&old.id).is_none_or(|now| now.backend.address != old.address)
}

fn merge_backends(
    live: &Snapshot,
    applied: &Declared,
    declared: &Declared,
    clash: Clash,
    merged: &mut Merged,
) -> Result<(), ControlError> {
    let before = backends_of(applied);
    for new in &declared.backends {
        let old = before.get(&new.id).copied();
        if old == Some(new) {
            continue;
        }
        if old.is_some_and(|old| was_replaced(live, old)) {
            continue;
        }
        let now = live.backend(&new.id).map(|node| &node.backend);
        let next = match (old, now) {
            (_, None) => Backend::from(new.clone()),
            (None, Some(made)) => {
                // A file that doesn't declare the state can't contradict it.
                let state = new.state.unwrap_or(made.state);
                let declared = Backend { state, ..Backend::from(new.clone()) };
                let differs = changes(made.differences(&declared));
                if differs.is_empty() {
                    continue;
                }
                let (kind, name) = (EntryKind::Backend, new.id.to_string());
                return Err(ControlError::FileConflict { kind, name, differs, made: None });
            }
            (Some(old), Some(now)) => {
                let next = Backend {
                    id: now.id.clone(),
                    address: pick(&old.address, &new.address, &now.address),
                    tags: pick(&old.tags, &new.tags, &now.tags),
                    options: record::merged(&now.options, &old.options, &new.options),
                    state: match new.state {
                        Some(state) if old.state != new.state => state,
                        _ => now.state,
                    },
                };
                // What the file says fits by itself; with what commands did since, it may not.
                if files::check_options(&next).is_ok() {
                    next
                } else if clash == Clash::FileHolds {
                    Backend { state: next.state, ..new.clone().into() }
                } else {
                    let differs = changes(now.differences(&new.clone().into()));
                    let (kind, name) = (EntryKind::Backend, new.id.to_string());
                    return Err(ControlError::FileConflict { kind, name, differs, made: None });
                }
            }
        };
        match now {
            None => merged.tell(EntryKind::Backend, &new.id, EntryAction::Added, Vec::new()),
            Some(now) => {
                let changed = changes(now.differences(&next));
                if changed.is_empty() {
                    continue;
                }
                merged.tell(EntryKind::Backend, &new.id, EntryAction::Changed, changed);
            }
        }
        merged.changes.push(Change::PutBackend(next));
    }
    let kept: BTreeSet<&BackendId> = declared.backends.iter().map(|backend| &backend.id).collect();
    for (old, declared) in before.into_iter().filter(|(id, _)| !kept.contains(id)) {
        if live.backend(old).is_some() && !was_replaced(live, declared) {
            merged.tell(EntryKind::Backend, old, EntryAction::Removed, Vec::new());
            merged.changes.push(Change::DropBackend(old.clone()));
        }
    }
    Ok(())
}

fn merge_domains(
    live: &Snapshot,
    applied: &Declared,
    declared: &Declared,
    merged: &mut Merged,
) -> Result<(), ControlError> {
    let before = domains_of(applied);
    for new in &declared.domains {
        let old = before.get(&new.domain).copied();
        if old == Some(new) {
            continue;
        }
        let now = own(live, &new.domain);
        let next = match (old, now) {
            (_, None) => new.clone(),
            (None, Some(made)) => {
                let differs = changes(made.differences(new));
                if differs.is_empty() {
                    continue;
                }
                let (kind, name) = (EntryKind::Domain, new.domain.to_string());
                return Err(ControlError::FileConflict { kind, name, differs, made: None });
            }
            (Some(old), Some(now)) => {
                let live = pick(&old.live, &new.live, &now.live);
                let moved = if live == now.live { now.clone() } else { now.moved_to(&live) };
                VirtualHost {
                    top: record::merged(&now.top, &old.top, &new.top),
                    options: now.options.merged(&old.options, &new.options),
                    ..moved
                }
            }
        };
        match now {
            None => merged.tell(EntryKind::Domain, &new.domain, EntryAction::Added, Vec::new()),
            Some(now) => {
                let changed = changes(now.differences(&next));
                if changed.is_empty() {
                    continue;
                }
                merged.tell(EntryKind::Domain, &new.domain, EntryAction::Changed, changed);
                if now.live != next.live {
                    let (from, to) = (now.live.clone(), next.live.clone());
                    merged.steps.push(SwitchStep { domain: next.domain.clone(), from, to });
                }
            }
        }
        merged.domains.push(next.domain.clone());
        merged.changes.push(Change::PutDomain(next));
    }
    let kept: BTreeSet<&DomainName> =
        declared.domains.iter().map(|domain| &domain.domain).collect();
    for old in before.into_keys().filter(|name| !kept.contains(name)) {
        if own(live, old).is_some() {
            merged.tell(EntryKind::Domain, old, EntryAction::Removed, Vec::new());
            merged.domains.push(old.clone());
            merged.changes.push(Change::DropDomain(old.clone()));
        }
    }
    Ok(())
}

/// The virtual host of that very name, not of an alias.
fn own<'a>(live: &'a Snapshot, name: &DomainName) -> Option<&'a VirtualHost> {
    let virtual_host = &live.domain(name)?.virtual_host;
    (virtual_host.domain == *name).then_some(virtual_host)
}

/// The file's value where the file has changed it, else the live one.
fn pick<T: PartialEq + Clone>(old: &T, new: &T, live: &T) -> T {
    if old == new { live.clone() } else { new.clone() }
}

/// After the merge every name still belongs to one domain. What is dropped or put anew gives its
/// names away first, so a name may move from one domain of the file to another.
fn check_names(live: &Snapshot, changes: &[Change]) -> Result<(), ControlError> {
    let mut gone: BTreeSet<&DomainName> = BTreeSet::new();
    let mut put: Vec<&VirtualHost> = Vec::new();
    for change in changes {
        match change {
            Change::PutDomain(virtual_host) => {
                gone.insert(&virtual_host.domain);
                put.push(virtual_host);
            }
            Change::DropDomain(domain) => _ = gone.insert(domain),
            Change::PutBackend(_)
            | Change::DropBackend(_)
            | Change::PutApp(_)
            | Change::DropApp(_) => {}
        }
    }
    let mut owners: BTreeMap<&DomainName, &DomainName> = BTreeMap::new();
    for virtual_host in put {
        for name in virtual_host.names() {
            let now = live.domain(name).map(|node| &node.virtual_host.domain);
            let stays = now.filter(|owner| !gone.contains(owner));
            if let Some(owner) = owners.insert(name, &virtual_host.domain).or(stays) {
                return Err(ControlError::FileNameTaken {
                    name: name.clone(),
                    domain: virtual_host.domain.clone(),
                    owner: owner.clone(),
                    made: None,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
