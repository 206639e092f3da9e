//! The three-way merge of a config file: what changed *in the file* since it was last applied is
//! applied, and nothing else moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::plane::Edit;
use super::{ControlError, ControlPlane, backends, domains};
use crate::config::{Declared, DeclaredBackend, DeclaredDomain};
use crate::model::{Actor, Backend, BackendId, Change, DomainName, EventKind, VirtualHost};
use crate::state::Snapshot;

impl ControlPlane {
    /// Applies what changed in the config file at `path` since `applied`, the declarations that were
    /// applied last. All of it or nothing.
    ///
    /// # Errors
    /// When the file now declares what a command has made otherwise, a name is taken, or the change
    /// can't be saved.
    pub async fn apply_file(
        &self,
        path: String,
        applied: Option<Declared>,
        declared: Declared,
    ) -> Result<Arc<Snapshot>, ControlError> {
        self.edit(Actor::File, move |snapshot| {
            if applied.as_ref() == Some(&declared) {
                return Ok(None);
            }
            let merged = merge(snapshot, &applied.unwrap_or_default(), &declared)?;
            let event =
                EventKind::FileApplied { path, changed: merged.told, domains: merged.domains };
            let text = declared.to_json();
            Ok(Some(Edit { changes: merged.changes, event, applied_file: Some(text) }))
        })
        .await
    }
}

#[derive(Debug, Default)]
struct Merged {
    changes: Vec<Change>,
    told: Vec<String>,
    domains: Vec<DomainName>,
}

/// What the live state must change by, pure.
fn merge(live: &Snapshot, applied: &Declared, declared: &Declared) -> Result<Merged, ControlError> {
    let mut merged = Merged::default();
    merge_backends(live, applied, declared, &mut merged)?;
    merge_domains(live, applied, declared, &mut merged)?;
    check_names(live, &merged.changes)?;
    Ok(merged)
}

fn merge_backends(
    live: &Snapshot,
    applied: &Declared,
    declared: &Declared,
    merged: &mut Merged,
) -> Result<(), ControlError> {
    let before: BTreeMap<&BackendId, &DeclaredBackend> =
        applied.backends.iter().map(|backend| (&backend.id, backend)).collect();
    for new in &declared.backends {
        let old = before.get(&new.id).copied();
        if old == Some(new) {
            continue;
        }
        let fresh = Backend::from(new.clone());
        let next = match (old, live.backend(&new.id).map(|node| &node.backend)) {
            (_, None) => fresh,
            (None, Some(made)) => {
                // A file that doesn't declare the state can't contradict it.
                let declared = Backend { state: new.state.unwrap_or(made.state), ..fresh };
                let differs = backends::differences(made, &declared);
                if differs.is_empty() {
                    continue;
                }
                let what = format!("the backend `{}`", new.id);
                return Err(ControlError::FileConflict { what, differs });
            }
            (Some(old), Some(now)) => Backend {
                id: now.id.clone(),
                address: pick(&old.address, &new.address, &now.address),
                tags: pick(&old.tags, &new.tags, &now.tags),
                weight: pick(&old.weight, &new.weight, &now.weight),
                scheme: pick(&old.scheme, &new.scheme, &now.scheme),
                state: match new.state {
                    Some(state) if old.state != new.state => state,
                    _ => now.state,
                },
            },
        };
        match live.backend(&new.id) {
            None => merged.told.push(format!("backend `{}` added", new.id)),
            Some(now) => {
                let changed = backends::differences(&now.backend, &next);
                if changed.is_empty() {
                    continue;
                }
                merged.told.push(format!("backend `{}`: {}", new.id, changed.join(", ")));
            }
        }
        merged.changes.push(Change::PutBackend(next));
    }
    let kept: BTreeSet<&BackendId> = declared.backends.iter().map(|backend| &backend.id).collect();
    for old in before.into_keys().filter(|id| !kept.contains(id)) {
        if live.backend(old).is_some() {
            merged.told.push(format!("backend `{old}` removed"));
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
    let before: BTreeMap<&DomainName, &DeclaredDomain> =
        applied.domains.iter().map(|domain| (&domain.domain, domain)).collect();
    for new in &declared.domains {
        let old = before.get(&new.domain).copied();
        if old == Some(new) {
            continue;
        }
        let made = live.domain(&new.domain).map(|node| &node.virtual_host);
        let made = made.filter(|made| made.domain == new.domain);
        let fresh = VirtualHost::from(new.clone());
        let next = match (old, made) {
            (_, None) => fresh,
            (None, Some(made)) => {
                let differs = domains::differences(made, &fresh);
                if differs.is_empty() {
                    continue;
                }
                let what = format!("the domain `{}`", new.domain);
                return Err(ControlError::FileConflict { what, differs });
            }
            (Some(old), Some(now)) => {
                let live = pick(&old.live, &new.live, &now.live);
                let moved = live != now.live;
                VirtualHost {
                    domain: now.domain.clone(),
                    aliases: pick(&old.aliases, &new.aliases, &now.aliases),
                    previous: if moved { Some(now.live.clone()) } else { now.previous.clone() },
                    live,
                    http_to_https: pick(&old.http_to_https, &new.http_to_https, &now.http_to_https),
                    balance: pick(&old.balance, &new.balance, &now.balance),
                }
            }
        };
        match made {
            None => merged.told.push(format!("domain `{}` added", new.domain)),
            Some(now) => {
                let changed = domains::differences(now, &next);
                if changed.is_empty() {
                    continue;
                }
                merged.told.push(format!("domain `{}`: {}", new.domain, changed.join(", ")));
            }
        }
        merged.domains.push(next.domain.clone());
        merged.changes.push(Change::PutDomain(next));
    }
    let kept: BTreeSet<&DomainName> =
        declared.domains.iter().map(|domain| &domain.domain).collect();
    for old in before.into_keys().filter(|name| !kept.contains(name)) {
        if live.domain(old).is_some_and(|node| node.virtual_host.domain == *old) {
            merged.told.push(format!("domain `{old}` removed"));
            merged.domains.push(old.clone());
            merged.changes.push(Change::DropDomain(old.clone()));
        }
    }
    Ok(())
}

/// The file's value where the file has changed it, else the live one.
fn pick<T: PartialEq + Clone>(old: &T, new: &T, live: &T) -> T {
    if old == new { live.clone() } else { new.clone() }
}

/// After the merge every name still belongs to one domain. What is dropped is out of the way first,
/// so a name may move from one domain of the file to another.
fn check_names(live: &Snapshot, changes: &[Change]) -> Result<(), ControlError> {
    let mut put: Vec<&VirtualHost> = Vec::new();
    let mut gone: Vec<Change> = Vec::new();
    for change in changes {
        match change {
            Change::PutDomain(virtual_host) => {
                gone.push(Change::DropDomain(virtual_host.domain.clone()));
                put.push(virtual_host);
            }
            Change::DropDomain(_) => gone.push(change.clone()),
            Change::PutBackend(_) | Change::DropBackend(_) => {}
        }
    }
    let mut next = live.after(gone, live.revision());
    for virtual_host in put {
        domains::check_names(&next, virtual_host)?;
        next = next.after(vec![Change::PutDomain(virtual_host.clone())], live.revision());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
