//! A state beside the current one, in which one backend alone is on a new tag.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::publication::{Reader, publication};
use super::{BackendNode, ReadyMade, Snapshot};
use crate::model::{Beside, Change, HostOptions, PoolName, Tag, VirtualHost};
use crate::tls::PeerFiles;

/// What requests that try a backend go by: `host` as it will be on `tag`, with all that it does to requests and answers,
/// but open to everybody, and with `backend` alone in its pool. Paths that other tags serve are served by these. Nothing of
/// the current state (`live`) is changed.
///
/// The backend is the very one of `after`, with its health, its limits and its connections.
pub fn stage(
    live: &Snapshot,
    after: &Snapshot,
    host: &VirtualHost,
    tag: &Tag,
    backend: &Arc<BackendNode>,
) -> Reader {
    let mut host = host.clone();
    host.live = tag.clone();
    host.previous = None;
    host.beside = Beside::default();
    host.options = open(&host.options);
    let pool = host.pool(tag);
    let mut nodes = vec![Arc::clone(backend)];
    let others: BTreeSet<PoolName> =
        host.options.get().paths.iter().map(|route| host.pool(&route.tag)).collect();
    for of in others.iter().filter(|of| **of != pool) {
        let there = after.pool(of).into_iter().flat_map(|pool| pool.backends());
        nodes.extend(there.filter(|node| !node.backend.tags.contains(tag)).cloned());
    }
    let app = host.app().and_then(|app| after.app(app));
    let mut changes: Vec<Change> =
        app.map(|node| Change::PutApp(node.app.clone())).into_iter().collect();
    changes.extend(nodes.iter().map(|node| Change::PutBackend(node.backend.clone())));
    changes.push(Change::PutDomain(host));
    let ready_made: ReadyMade =
        nodes.into_iter().map(|node| (node.backend.id.clone(), node)).collect();
    // One that is new takes no requests until it is published. Of another its own state says so.
    if live
        .backend(&backend.backend.id)
        .is_none_or(|known| !Arc::ptr_eq(&known.live, &backend.live))
    {
        backend.live.set_admitting(true);
    }
    let empty = Snapshot::default();
    publication(empty.after_reading(changes, &PeerFiles::default(), &ready_made, 1)).1
}

/// The options of a host without those that keep clients out.
fn open(options: &HostOptions) -> HostOptions {
    let mut set = options.get().clone();
    (set.basic_auth, set.maintenance, set.pause) = (None, None, None);
    (set.rate_limit, set.client_rate_limit) = (None, None);
    set.allow.clear();
    set.deny.clear();
    set.into()
}
