//! What the environment says, at a start: the store has references alone.

use std::collections::HashMap;

use crate::config::{Declared, variable};
use crate::control::ControlError;
use crate::model::{HostOptions, OptionError, VirtualHost};
use crate::state::Snapshot;
use crate::store::{Saved, Store, StoreError};

/// Follows the references of what was saved. One that can't be followed may have gone from the config
/// file, so it is [`check`] that says so.
pub(super) fn resolve(saved: &mut Saved) {
    for virtual_host in &mut saved.domains {
        let _ = virtual_host.options.resolve(&variable);
    }
}

/// Makes sure that no domain of a state is served without an option whose reference can't be followed.
pub(super) fn check(state: &Snapshot) -> Result<(), ControlError> {
    let pending = |options: &HostOptions| options.clone().resolve(&variable).err();
    for node in state.domains().filter(|node| node.virtual_host.options.is_pending()) {
        if let Some(OptionError { path, reason, .. }) = pending(&node.virtual_host.options) {
            let domain = node.virtual_host.domain.clone();
            return Err(ControlError::OptionValue { domain, path, remedy: reason });
        }
    }
    Ok(())
}

/// Takes out of the history what versions before kept of the environment: they stored what references
/// stood for. The state itself gets the references as the config file is applied.
pub(super) fn forget(
    store: &mut Store,
    saved: &Saved,
    declared: &Declared,
) -> Result<(), StoreError> {
    let Some(text) = &saved.applied_file else { return Ok(()) };
    let referring: Vec<_> = declared
        .domains
        .iter()
        .filter(|domain| domain.options.secrets().next().is_some())
        .collect();
    if referring.is_empty() {
        return Ok(());
    }
    // What can't be read is found when it is applied.
    let applied = Declared::from_json(text).unwrap_or_default();
    let applied: HashMap<_, _> =
        applied.domains.iter().map(|domain| (&domain.domain, &domain.options)).collect();
    let mut secrets = Vec::new();
    for VirtualHost { domain, options, .. } in referring {
        let Some(before) = applied.get(domain).filter(|before| **before != options) else {
            continue;
        };
        // What the variable held then, which may be another value than now.
        secrets.extend(before.literals_beside(options));
        let held = options.secrets().filter(|secret| in_json(text, secret));
        secrets.extend(held.map(str::to_owned));
    }
    secrets.sort_unstable();
    secrets.dedup();
    if secrets.is_empty() { Ok(()) } else { store.forget(&secrets) }
}

/// Whether a text is in a JSON document, as a value of its own.
fn in_json(document: &str, text: &str) -> bool {
    serde_json::to_string(text).is_ok_and(|quoted| document.contains(&quoted))
}
