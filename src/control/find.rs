//! Looks up what a command names, or says what was probably meant.

use std::sync::Arc;

use super::ControlError;
use crate::model::{AppName, BackendId, DomainName, Pattern, PoolName, Tag, nearest};
use crate::state::{AppNode, BackendNode, DomainNode, Snapshot};

/// The pool has a backend.
pub(super) fn carried(snapshot: &Snapshot, pool: &PoolName) -> Result<(), ControlError> {
    if snapshot.pool(pool).is_some() {
        return Ok(());
    }
    let known: Vec<Tag> = snapshot.tags(pool.app.as_ref()).into_iter().cloned().collect();
    let near = nearest(pool.tag.as_str(), known.iter().map(Tag::as_str));
    let near = near.and_then(|near| near.parse().ok());
    Err(ControlError::UnknownTag { pool: pool.clone(), near, known })
}

/// The app of that name.
pub(crate) fn app<'a>(
    snapshot: &'a Snapshot,
    name: &AppName,
) -> Result<&'a Arc<AppNode>, ControlError> {
    snapshot.app(name).ok_or_else(|| {
        let names = snapshot.apps().map(|node| node.app.name.as_str());
        let near = nearest(name.as_str(), names).and_then(|near| near.parse().ok());
        ControlError::UnknownApp { app: name.clone(), near }
    })
}

/// The app that a domain or a backend names exists.
pub(super) fn named_app(snapshot: &Snapshot, name: Option<&AppName>) -> Result<(), ControlError> {
    name.map_or(Ok(()), |name| app(snapshot, name).map(drop))
}

/// The virtual host of that name or alias.
pub(crate) fn domain<'a>(
    snapshot: &'a Snapshot,
    name: &DomainName,
) -> Result<&'a Arc<DomainNode>, ControlError> {
    snapshot.domain(name).ok_or_else(|| ControlError::UnknownDomain {
        domain: name.clone(),
        near: domain_like(snapshot, &name.to_string()),
    })
}

/// The domain or alias that was probably meant.
pub(crate) fn domain_like(snapshot: &Snapshot, wanted: &str) -> Option<DomainName> {
    let wanted = wanted.strip_prefix("*.").unwrap_or(wanted);
    let names = snapshot.domains().flat_map(|node| node.virtual_host.names());
    nearest(wanted, names.map(Named)).map(|Named(name)| name.clone())
}

/// The backend of that id.
pub(crate) fn backend<'a>(
    snapshot: &'a Snapshot,
    id: &BackendId,
) -> Result<&'a Arc<BackendNode>, ControlError> {
    snapshot.backend(id).ok_or_else(|| {
        let ids = snapshot.backends().map(|node| node.backend.id.as_str());
        let near = nearest(id.as_str(), ids).and_then(|near| near.parse().ok());
        ControlError::UnknownBackend { backend: id.clone(), near }
    })
}

/// A domain name by the text that people mistype: a wildcard by the name below it.
struct Named<'a>(&'a DomainName);

impl AsRef<str> for Named<'_> {
    fn as_ref(&self) -> &str {
        match self.0.pattern() {
            Pattern::Exact(name) | Pattern::Wildcard(name) => name,
            Pattern::Default => "",
        }
    }
}
