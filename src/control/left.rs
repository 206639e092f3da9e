//! What a reload or a deploy leaves behind, and how much of it still runs.

use std::sync::Arc;

use crate::counters::{Elsewhere, InFlight};
use crate::model::{BackendId, BackendState, Change, DomainName, Tag};
use crate::state::{BackendLive, DomainNode, Snapshot};

/// Backends and domains that get no new requests any more.
#[derive(Default)]
pub(super) struct Left {
    backends: Vec<(BackendId, Arc<BackendLive>)>,
    domains: Vec<Arc<DomainNode>>,
    tags: Vec<(DomainName, Tag, Arc<InFlight>)>,
    /// The revision since which they are left.
    revision: u64,
}

impl Left {
    /// What is left when `changes` lead from `live` to `next`.
    pub(super) fn of(live: &Snapshot, next: &Snapshot, changes: &[Change]) -> Self {
        let mut left = Self { revision: next.revision(), ..Self::default() };
        let live_of =
            |id: &BackendId| live.backend(id).map(|node| (id.clone(), Arc::clone(&node.live)));
        for change in changes {
            match change {
                Change::DropBackend(id) => left.backends.extend(live_of(id)),
                Change::PutBackend(backend) if backend.state != BackendState::Ready => {
                    left.backends.extend(live_of(&backend.id));
                }
                Change::PutBackend(_) | Change::PutApp(_) | Change::DropApp(_) => {}
                Change::DropDomain(domain) => left.domains.extend(live.domain(domain).cloned()),
                Change::PutDomain(virtual_host) => {
                    let before = live.domain(&virtual_host.domain);
                    let moved = before.map(|node| &node.virtual_host).filter(|before| {
                        before.domain == virtual_host.domain && before.live != virtual_host.live
                    });
                    if let Some(before) = moved
                        && let Some(node) = next.domain(&virtual_host.domain)
                        && let Some(count) = node.in_flight_on(&before.live)
                    {
                        let domain = virtual_host.domain.clone();
                        left.tags.push((domain, before.live.clone(), Arc::clone(count)));
                    }
                }
            }
        }
        left
    }

    /// Requests that still run there; at least so many, for one may run on a domain and a backend
    /// that are both left.
    pub(super) fn remaining(&self, now: &Snapshot, elsewhere: &Elsewhere) -> usize {
        let on_tag = |domain: &DomainName, tag: &Tag| {
            elsewhere.on_tag(&domain.to_string(), tag.as_str(), self.revision).0
        };
        let on_backend = |(id, live): &(BackendId, Arc<BackendLive>)| {
            live.in_flight() + elsewhere.on_backend(id.as_str(), self.revision)
        };
        let on_backends: usize = self.backends.iter().map(on_backend).sum();
        let of_domain = |node: &Arc<DomainNode>| -> usize {
            let domain = &node.virtual_host.domain;
            node.in_flight().map(|(tag, count)| count + on_tag(domain, tag)).sum()
        };
        let of_domains: usize = self.domains.iter().map(of_domain).sum();
        // Once a domain is back on the tag it left, that tag's requests never end; whoever moved it
        // there is the one to drain.
        let is_back = |domain: &DomainName, tag: &Tag| {
            now.domain(domain).is_some_and(|node| node.virtual_host.live == *tag)
        };
        let on_tags = self.tags.iter().filter(|(domain, tag, _)| !is_back(domain, tag));
        let on_tags: usize =
            on_tags.map(|(domain, tag, count)| count.count() + on_tag(domain, tag)).sum();
        on_backends.max(of_domains + on_tags)
    }
}
