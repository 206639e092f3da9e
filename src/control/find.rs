//! Looks up what a command names, or says what was probably meant.

use std::sync::Arc;

use super::ControlError;
use crate::model::{BackendId, DomainName, Tag};
use crate::state::{BackendNode, DomainNode, Snapshot};

/// A backend carries the tag.
pub(super) fn carried(snapshot: &Snapshot, tag: &Tag) -> Result<(), ControlError> {
    if snapshot.pool(tag).is_some() {
        return Ok(());
    }
    let known = snapshot.tags().into_iter().cloned().collect();
    Err(ControlError::UnknownTag { tag: tag.clone(), known })
}

/// The virtual host of that name or alias.
pub(super) fn domain<'a>(
    snapshot: &'a Snapshot,
    name: &DomainName,
) -> Result<&'a Arc<DomainNode>, ControlError> {
    snapshot.domain(name).ok_or_else(|| {
        let names = snapshot.domains().flat_map(|node| node.virtual_host.names());
        ControlError::UnknownDomain { domain: name.clone(), near: nearest(name, names) }
    })
}

/// The backend of that id.
pub(super) fn backend<'a>(
    snapshot: &'a Snapshot,
    id: &BackendId,
) -> Result<&'a Arc<BackendNode>, ControlError> {
    snapshot.backend(id).ok_or_else(|| {
        let ids = snapshot.backends().map(|node| &node.backend.id);
        ControlError::UnknownBackend { backend: id.clone(), near: nearest(id, ids) }
    })
}

/// The name that was probably meant.
fn nearest<'a, T: Clone + ToString + 'a>(
    wanted: &T,
    names: impl Iterator<Item = &'a T>,
) -> Option<T> {
    const ALIKE: f64 = 0.85;
    let wanted = wanted.to_string();
    names
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_string()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name.clone())
}
