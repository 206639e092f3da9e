//! What a reload or a deploy leaves behind, and how much of it still runs.

use std::sync::Arc;

use crate::counters::InFlight;
use crate::model::{BackendState, Change, DomainName, Tag};
use crate::state::{BackendLive, DomainNode, Snapshot};

/// Backends and domains that get no new requests any more.
#[derive(Default)]
pub(super) struct Left {
    backends: Vec<Arc<BackendLive>>,
    domains: Vec<Arc<DomainNode>>,
    tags: Vec<(DomainName, Tag, Arc<InFlight>)>,
}

impl Left {
    /// What is left when `changes` lead from `live` to `next`.
    pub(super) fn of(live: &Snapshot, next: &Snapshot, changes: &[Change]) -> Self {
        let mut left = Self::default();
        for change in changes {
            match change {
                Change::DropBackend(id) => {
                    left.backends.extend(live.backend(id).map(|node| Arc::clone(&node.live)));
                }
                Change::PutBackend(backend) if backend.state != BackendState::Ready => {
                    left.backends
                        .extend(live.backend(&backend.id).map(|node| Arc::clone(&node.live)));
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
    pub(super) fn remaining(&self, now: &Snapshot) -> usize {
        let on_backends: usize = self.backends.iter().map(|live| live.in_flight()).sum();
        let of_domains: usize =
            self.domains.iter().flat_map(|node| node.in_flight()).map(|(_, count)| count).sum();
        // Once a domain is back on the tag it left, that tag's requests never end; whoever moved it
        // there is the one to drain.
        let is_back = |domain: &DomainName, tag: &Tag| {
            now.domain(domain).is_some_and(|node| node.virtual_host.live == *tag)
        };
        let on_tags = self.tags.iter().filter(|(domain, tag, _)| !is_back(domain, tag));
        let on_tags: usize = on_tags.map(|(.., count)| count.count()).sum();
        on_backends.max(of_domains + on_tags)
    }
}
