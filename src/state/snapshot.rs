//! The immutable routing view: domains, backends, pools, and the pure edits that lead to the next.
//!
//! Built on persistent maps, so that one change costs the same at ten domains and at a hundred
//! thousand, and a lookup takes no lock and allocates nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap};

use super::{BackendNode, DomainNode, Pool};
use crate::model::{
    Backend, BackendId, BackendState, Change, DomainName, MatchedBy, Pattern, Tag, VirtualHost,
};
use crate::tls::PeerFiles;

type HashMap<K, V> = GenericHashMap<K, V, foldhash::fast::RandomState, DefaultSharedPtr>;

/// The backends that changed, by the tags that they carry or carried.
type Touched = BTreeMap<Tag, BTreeSet<BackendId>>;

/// The whole state that requests are routed by, at one revision.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    revision: u64,
    domains: OrdMap<DomainName, Arc<DomainNode>>,
    backends: OrdMap<BackendId, Arc<BackendNode>>,
    pools: HashMap<Tag, Arc<Pool>>,
    exact: HashMap<Arc<str>, Arc<DomainNode>>,
    wildcard: HashMap<Arc<str>, Arc<DomainNode>>,
    default: Option<Arc<DomainNode>>,
}

impl Snapshot {
    /// The revision of the state.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The virtual host that answers for `host`, which is normalised: the exact name, else the
    /// wildcard one label up, else the default.
    pub fn route(&self, host: &str) -> Option<&Arc<DomainNode>> {
        self.route_by(host).map(|(_, node)| node)
    }

    /// The same, and how it was found.
    pub fn route_by(&self, host: &str) -> Option<(MatchedBy, &Arc<DomainNode>)> {
        if let Some(node) = self.exact.get(host) {
            return Some((MatchedBy::Exact, node));
        }
        if let Some((label, base)) = host.split_once('.')
            && !label.is_empty()
            && let Some(node) = self.wildcard.get(base)
        {
            return Some((MatchedBy::Wildcard, node));
        }
        self.default.as_ref().map(|node| (MatchedBy::Default, node))
    }

    /// The backends that carry `tag`; `None` when none does.
    pub fn pool(&self, tag: &Tag) -> Option<&Arc<Pool>> {
        self.pools.get(tag)
    }

    /// Every tag that a backend carries, in order.
    pub fn tags(&self) -> Vec<&Tag> {
        let mut tags: Vec<_> = self.pools.keys().collect();
        tags.sort();
        tags
    }

    /// The virtual host of that name, which may be an alias.
    pub fn domain(&self, name: &DomainName) -> Option<&Arc<DomainNode>> {
        match name.pattern() {
            Pattern::Exact(name) => self.exact.get(name),
            Pattern::Wildcard(base) => self.wildcard.get(base),
            Pattern::Default => self.default.as_ref(),
        }
    }

    /// All virtual hosts, by name.
    pub fn domains(&self) -> impl ExactSizeIterator<Item = &Arc<DomainNode>> {
        self.domains.values()
    }

    /// The virtual hosts by name, from the first whose name comes after that one.
    pub fn domains_after(
        &self,
        name: Option<&DomainName>,
    ) -> impl Iterator<Item = &Arc<DomainNode>> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.domains.range::<_, DomainName>((start, Bound::Unbounded)).map(|(_, node)| node)
    }

    /// The backend of that id.
    pub fn backend(&self, id: &BackendId) -> Option<&Arc<BackendNode>> {
        self.backends.get(id)
    }

    /// All backends, by id.
    pub fn backends(&self) -> impl ExactSizeIterator<Item = &Arc<BackendNode>> {
        self.backends.values()
    }

    /// The backends by id, from the first whose id comes after that one.
    pub fn backends_after(
        &self,
        id: Option<&BackendId>,
    ) -> impl Iterator<Item = &Arc<BackendNode>> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.backends.range::<_, BackendId>((start, Bound::Unbounded)).map(|(_, node)| node)
    }

    /// The virtual hosts that differ from those of `before`, each as it was and as it is; found without
    /// looking at those that are the same.
    pub fn domains_changed_since<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a VirtualHost>, Option<&'a VirtualHost>)> {
        before.domains.diff(&self.domains).map(|item| match item {
            DiffItem::Add(_, now) => (None, Some(&now.virtual_host)),
            DiffItem::Remove(_, was) => (Some(&was.virtual_host), None),
            DiffItem::Update { old: (_, was), new: (_, now) } => {
                (Some(&was.virtual_host), Some(&now.virtual_host))
            }
        })
    }

    /// Whether `other` holds the very same backends, found without looking at each.
    pub fn shares_backends(&self, other: &Self) -> bool {
        self.backends.ptr_eq(&other.backends)
    }

    /// The snapshot after `changes`, where no file was read for them.
    #[must_use]
    pub fn after(&self, changes: Vec<Change>, revision: u64) -> Self {
        self.after_reading(changes, &PeerFiles::default(), revision)
    }

    /// The snapshot after `changes`. The changes have been checked: names don't collide. `files` is what was
    /// read for them; a backend that is put as it was goes by what its files hold now.
    #[must_use]
    pub fn after_reading(&self, changes: Vec<Change>, files: &PeerFiles, revision: u64) -> Self {
        let mut next = self.clone();
        next.revision = revision;
        let mut touched = Touched::new();
        let mut touch = |backend: &Backend| {
            for tag in &backend.tags {
                touched.entry(tag.clone()).or_default().insert(backend.id.clone());
            }
        };
        for change in changes {
            match change {
                Change::PutDomain(virtual_host) => next.put_domain(virtual_host),
                Change::DropDomain(domain) => next.drop_domain(&domain),
                Change::PutBackend(backend) => {
                    touch(&backend);
                    let node = match next.backends.get(&backend.id) {
                        Some(before) => {
                            touch(&before.backend);
                            BackendNode::following(backend, before, files)
                        }
                        None => BackendNode::new(backend, files),
                    };
                    next.backends.insert(node.backend.id.clone(), Arc::new(node));
                }
                Change::DropBackend(id) => {
                    if let Some(before) = next.backends.remove(&id) {
                        touch(&before.backend);
                    }
                }
            }
        }
        next.rebuild_pools(touched);
        next
    }

    /// Raises the flag of every backend that is ready here; done before this is published.
    pub(super) fn open_gates(&self, before: &Self) {
        for item in before.backends.diff(&self.backends) {
            if let DiffItem::Add(_, node) | DiffItem::Update { new: (_, node), .. } = item
                && node.backend.state == BackendState::Ready
            {
                node.live.set_admitting(true);
            }
        }
    }

    /// Lowers the flag of every backend that is not ready any more; done after this is published.
    pub(super) fn close_gates(&self, before: &Self) {
        for item in before.backends.diff(&self.backends) {
            match item {
                DiffItem::Remove(_, node) => node.live.set_admitting(false),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    let moved = !Arc::ptr_eq(&old.live, &new.live);
                    if moved || new.backend.state != BackendState::Ready {
                        old.live.set_admitting(false);
                    }
                }
                DiffItem::Add(..) => {}
            }
        }
    }

    /// Lets the requests of domains go on that are paused no more; done after this is published.
    pub(super) fn open_pause_lines(&self, before: &Self) {
        for item in before.domains.diff(&self.domains) {
            let (old, new) = match item {
                DiffItem::Add(..) => continue,
                DiffItem::Remove(_, old) => (old, None),
                DiffItem::Update { old: (_, old), new: (_, new) } => (old, Some(new)),
            };
            if !new.is_some_and(|node| node.is_paused())
                && let Some(line) = old.pause_line()
            {
                line.open();
            }
        }
    }

    fn put_domain(&mut self, virtual_host: VirtualHost) {
        let before = self.domains.get(&virtual_host.domain).cloned();
        let has_backends = |tag: &Tag| self.pools.contains_key(tag);
        let node = Arc::new(DomainNode::new(virtual_host, before.as_deref(), has_backends));
        if let Some(before) = &before {
            for name in before.virtual_host.names() {
                if !node.virtual_host.names().any(|kept| kept == name) {
                    self.unroute(name, before);
                }
            }
        }
        for name in node.virtual_host.names() {
            match name.pattern() {
                Pattern::Exact(name) => {
                    self.exact.insert(Arc::clone(name), Arc::clone(&node));
                }
                Pattern::Wildcard(base) => {
                    self.wildcard.insert(Arc::clone(base), Arc::clone(&node));
                }
                Pattern::Default => self.default = Some(Arc::clone(&node)),
            }
        }
        self.domains.insert(node.virtual_host.domain.clone(), node);
    }

    fn drop_domain(&mut self, domain: &DomainName) {
        if let Some(node) = self.domains.remove(domain) {
            for name in node.virtual_host.names() {
                self.unroute(name, &node);
            }
        }
    }

    /// Takes a name away from `owner`, unless another domain has it by now.
    fn unroute(&mut self, name: &DomainName, owner: &Arc<DomainNode>) {
        let is_owner =
            |node: &Arc<DomainNode>| node.virtual_host.domain == owner.virtual_host.domain;
        if !self.domain(name).is_some_and(is_owner) {
            return;
        }
        match name.pattern() {
            Pattern::Exact(name) => {
                self.exact.remove(name);
            }
            Pattern::Wildcard(base) => {
                self.wildcard.remove(base);
            }
            Pattern::Default => self.default = None,
        }
    }

    /// Only what changed is looked at: one edit costs what its pools cost, not what all backends do.
    fn rebuild_pools(&mut self, touched: Touched) {
        for (tag, ids) in touched {
            let before = self.pools.get(&tag);
            let turn = before.map(|pool| Arc::clone(pool.turn())).unwrap_or_default();
            let queue = before.map(|pool| Arc::clone(pool.queue())).unwrap_or_default();
            let stay = before.into_iter().flat_map(|pool| pool.backends());
            let stay = stay.filter(|node| !ids.contains(&node.backend.id));
            let come = ids.iter().filter_map(|id| self.backends.get(id));
            let come = come.filter(|node| node.backend.tags.contains(&tag));
            let mut backends: Vec<_> = stay.chain(come).cloned().collect();
            backends.sort_unstable_by(|one, other| one.backend.id.cmp(&other.backend.id));
            if backends.is_empty() {
                self.pools.remove(&tag);
            } else {
                self.pools.insert(tag.clone(), Arc::new(Pool::new(tag, backends, turn, queue)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
