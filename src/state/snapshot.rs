//! The immutable routing view: apps, domains, backends, pools, and the pure edits that lead to the next.
//!
//! Built on persistent maps, so that one change costs the same at ten domains and at a hundred
//! thousand, and a lookup takes no lock and allocates nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap};

use super::{AppNode, BackendNode, DomainNode, Pool};
use crate::model::{
    App, AppName, Backend, BackendId, BackendState, Change, DomainName, MatchedBy, Pattern,
    PoolName, Tag, VirtualHost,
};
use crate::tls::PeerFiles;

type HashMap<K, V> = GenericHashMap<K, V, foldhash::fast::RandomState, DefaultSharedPtr>;

/// The backends that changed, by the pools that they belong or belonged to.
type Touched = BTreeMap<PoolName, BTreeSet<BackendId>>;

/// Backends that were made, and maybe proven healthy, before the change that adds them: it takes them as they are,
/// with what was observed of them.
pub type ReadyMade = BTreeMap<BackendId, Arc<BackendNode>>;

/// The whole state that requests are routed by, at one revision.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    revision: u64,
    apps: OrdMap<AppName, Arc<AppNode>>,
    domains: OrdMap<DomainName, Arc<DomainNode>>,
    backends: OrdMap<BackendId, Arc<BackendNode>>,
    pools: HashMap<PoolName, Arc<Pool>>,
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

    /// The backends of a pool; `None` when it has none.
    pub fn pool(&self, pool: &PoolName) -> Option<&Arc<Pool>> {
        self.pools.get(pool)
    }

    /// Every pool that has a backend, in order.
    pub fn pools(&self) -> Vec<&PoolName> {
        let mut pools: Vec<_> = self.pools.keys().collect();
        pools.sort();
        pools
    }

    /// Every tag that a backend of `app` carries, or of no app, in order.
    pub fn tags(&self, app: Option<&AppName>) -> Vec<&Tag> {
        let own = self.pools.keys().filter(|pool| pool.app.as_ref() == app);
        let mut tags: Vec<_> = own.map(|pool| &pool.tag).collect();
        tags.sort();
        tags
    }

    /// The app of that name.
    pub fn app(&self, name: &AppName) -> Option<&Arc<AppNode>> {
        self.apps.get(name)
    }

    /// All apps, by name.
    pub fn apps(&self) -> impl ExactSizeIterator<Item = &Arc<AppNode>> {
        self.apps.values()
    }

    /// The apps by name, from the first whose name comes after that one.
    pub fn apps_after(&self, name: Option<&AppName>) -> impl Iterator<Item = &Arc<AppNode>> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.apps.range::<_, AppName>((start, Bound::Unbounded)).map(|(_, node)| node)
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
        let hosts = before.domains.diff(&self.domains).map(|item| match item {
            DiffItem::Add(_, now) => (None, Some(&now.virtual_host)),
            DiffItem::Remove(_, was) => (Some(&was.virtual_host), None),
            DiffItem::Update { old: (_, was), new: (_, now) } => {
                (Some(&was.virtual_host), Some(&now.virtual_host))
            }
        });
        // What changed may have been the app.
        hosts.filter(|(was, now)| was != now)
    }

    /// Whether `other` holds the very same backends, found without looking at each.
    pub fn shares_backends(&self, other: &Self) -> bool {
        self.backends.ptr_eq(&other.backends)
    }

    /// The snapshot after `changes`, where no file was read for them.
    #[must_use]
    pub fn after(&self, changes: Vec<Change>, revision: u64) -> Self {
        self.after_reading(changes, &PeerFiles::default(), &ReadyMade::new(), revision)
    }

    /// The snapshot after `changes`. The changes have been checked: names don't collide. `files` is what was
    /// read for them; a backend that is put as it was goes by what its files hold now. A backend in `ready_made`
    /// is taken from there.
    #[must_use]
    pub fn after_reading(
        &self,
        changes: Vec<Change>,
        files: &PeerFiles,
        ready_made: &ReadyMade,
        revision: u64,
    ) -> Self {
        let mut next = self.clone();
        next.revision = revision;
        let mut touched = Touched::new();
        // Domains come last: which of their counters stay depends on who has backends after the change.
        let (mut apps, mut domains) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::PutDomain(_) | Change::DropDomain(_) => domains.push(change),
                Change::PutBackend(backend) => {
                    let ready_made = ready_made.get(&backend.id);
                    match ready_made.filter(|node| node.backend == backend) {
                        Some(node) => next.put_node(Arc::clone(node), &mut touched),
                        None => next.put_backend(backend, files, &mut touched),
                    }
                }
                Change::DropBackend(id) => next.drop_backend(&id, &mut touched),
                Change::PutApp(app) => {
                    apps.push(app.name.clone());
                    next.put_app(app, &mut touched);
                }
                Change::DropApp(name) => {
                    next.apps.remove(&name);
                }
            }
        }
        next.rebuild_pools(std::mem::take(&mut touched));
        for app in &apps {
            next.put_domains_again(app, &mut touched);
        }
        for change in domains {
            match change {
                Change::PutDomain(virtual_host) => next.put_domain(virtual_host, &mut touched),
                Change::DropDomain(domain) => next.drop_domain(&domain, &mut touched),
                _ => {}
            }
        }
        next.rebuild_pools(touched);
        next
    }

    /// Raises the flag of every backend that is ready here, and sets its limit; done before this is published.
    pub(super) fn open_gates(&self, before: &Self) {
        for item in before.backends.diff(&self.backends) {
            if let DiffItem::Add(_, node) | DiffItem::Update { new: (_, node), .. } = item {
                node.live.set_max_requests(node.max_requests());
                if node.backend.state == BackendState::Ready {
                    node.live.set_admitting(true);
                }
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

    /// Announces to what runs on a tag that its domain has left it, or is back; done after this is published.
    pub(super) fn announce_departures(&self, before: &Self) {
        for item in before.domains.diff(&self.domains) {
            match item {
                DiffItem::Add(..) => {}
                DiffItem::Remove(_, old) => old.announce_removal(),
                DiffItem::Update { old: (_, old), new: (_, new) } => new.announce_departures(old),
            }
        }
    }

    /// Its own backends go by what it says now.
    fn put_app(&mut self, app: App, touched: &mut Touched) {
        let name = app.name.clone();
        let node = AppNode::new(app, self.apps.get(&name).map(|node| &**node));
        let node = Arc::new(node);
        self.apps.insert(name, Arc::clone(&node));
        self.put_backends_again(&node, touched);
    }

    /// The domains of an app go by what it says now.
    fn put_domains_again(&mut self, app: &AppName, touched: &mut Touched) {
        let Some(node) = self.apps.get(app).cloned() else { return };
        for domain in node.domains() {
            if let Some(of) = self.domains.get(domain).map(|node| node.virtual_host.clone()) {
                self.put_domain(of, touched);
            }
        }
    }

    /// Puts a backend on the list of an app, or takes it off.
    fn list_backend(&mut self, app: Option<&AppName>, id: &BackendId, is_own: bool) {
        if let Some(node) = app.and_then(|name| self.apps.get_mut(name)) {
            Arc::make_mut(node).set_backend(id, is_own);
        }
    }

    /// Puts a domain on the list of an app, or takes it off. The app's backends go by its first domain.
    fn list_domain(
        &mut self,
        app: Option<&AppName>,
        domain: &DomainName,
        is_own: bool,
        touched: &mut Touched,
    ) {
        let Some(node) = app.and_then(|name| self.apps.get_mut(name)) else { return };
        if Arc::make_mut(node).set_domain(domain, is_own) {
            let node = Arc::clone(node);
            self.put_backends_again(&node, touched);
        }
    }

    /// The backends of an app go by what it says now.
    fn put_backends_again(&mut self, app: &AppNode, touched: &mut Touched) {
        for id in app.backends() {
            if let Some(backend) = self.backends.get(id).map(|node| node.backend.clone()) {
                self.put_backend(backend, &PeerFiles::default(), touched);
            }
        }
    }

    fn put_backend(&mut self, backend: Backend, files: &PeerFiles, touched: &mut Touched) {
        let before = self.backends.get(&backend.id);
        let app = backend.options.app.as_ref().and_then(|name| self.apps.get(name));
        let app = app.map(|node| node.for_backends());
        let node = match before {
            Some(before) => BackendNode::following(backend, app, before, files),
            None => BackendNode::new(backend, app, files),
        };
        self.put_node(Arc::new(node), touched);
    }

    fn put_node(&mut self, node: Arc<BackendNode>, touched: &mut Touched) {
        let id = node.backend.id.clone();
        let app = node.backend.options.app.clone();
        touch(touched, &node.backend);
        let before = self.backends.insert(id.clone(), node);
        if let Some(before) = before {
            touch(touched, &before.backend);
            let left =
                before.backend.options.app.as_ref().filter(|left| app.as_ref() != Some(left));
            self.list_backend(left, &id, false);
        }
        self.list_backend(app.as_ref(), &id, true);
    }

    fn drop_backend(&mut self, id: &BackendId, touched: &mut Touched) {
        if let Some(before) = self.backends.remove(id) {
            touch(touched, &before.backend);
            let app = before.backend.options.app.as_ref();
            self.list_backend(app, id, false);
        }
    }

    fn put_domain(&mut self, virtual_host: VirtualHost, touched: &mut Touched) {
        let before = self.domains.get(&virtual_host.domain).cloned();
        let has_backends = |pool: &PoolName| self.pools.contains_key(pool);
        let app = virtual_host.app().and_then(|name| self.apps.get(name)).map(|node| &node.app);
        let node = Arc::new(DomainNode::new(virtual_host, app, before.as_deref(), has_backends));
        let (domain, app) = (&node.virtual_host.domain, node.virtual_host.app());
        let left = before.as_ref().and_then(|node| node.virtual_host.app());
        self.list_domain(left.filter(|left| app != Some(left)), domain, false, touched);
        self.list_domain(app, domain, true, touched);
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

    fn drop_domain(&mut self, domain: &DomainName, touched: &mut Touched) {
        if let Some(node) = self.domains.remove(domain) {
            self.list_domain(node.virtual_host.app(), domain, false, touched);
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
        for (name, ids) in touched {
            let before = self.pools.get(&name);
            let turn = before.map(|pool| Arc::clone(pool.turn())).unwrap_or_default();
            let queue = before.map(|pool| Arc::clone(pool.queue())).unwrap_or_default();
            let stay = before.into_iter().flat_map(|pool| pool.backends());
            let stay = stay.filter(|node| !ids.contains(&node.backend.id));
            let come = ids.iter().filter_map(|id| self.backends.get(id));
            let come = come.filter(|node| node.backend.is_in(&name));
            let mut backends: Vec<_> = stay.chain(come).cloned().collect();
            backends.sort_unstable_by(|one, other| one.backend.id.cmp(&other.backend.id));
            if backends.is_empty() {
                self.pools.remove(&name);
            } else {
                self.pools.insert(name.clone(), Arc::new(Pool::new(name, backends, turn, queue)));
            }
        }
    }
}

fn touch(touched: &mut Touched, backend: &Backend) {
    for pool in backend.pools() {
        touched.entry(pool).or_default().insert(backend.id.clone());
    }
}

#[cfg(test)]
mod tests;
