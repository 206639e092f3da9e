//! The immutable routing view: domains, backends, pools, and the pure edits that lead to the next.
//!
//! Built on persistent maps, so that one change costs the same at ten domains and at a hundred
//! thousand, and a lookup takes no lock and allocates nothing.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use http::HeaderValue;
use imbl::ordmap::DiffItem;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap};

use super::{BackendLive, InFlight, InFlightGuard, PauseLine, Pool, Rates, Switches, Traffic};
use crate::model::{
    Backend, BackendId, BackendState, Change, DomainName, MatchedBy, PathRoute, Pattern, Tag,
    VirtualHost,
};
use crate::tls::{PeerTls, TlsFileError};
pub use files::ReadAgain;

type HashMap<K, V> = GenericHashMap<K, V, foldhash::fast::RandomState, DefaultSharedPtr>;

/// The backends that changed, by the tags that they carry or carried.
type Touched = BTreeMap<Tag, BTreeSet<BackendId>>;

/// What is observed of a domain's requests on one tag.
#[derive(Debug, Clone)]
pub struct TagLive {
    /// The tag.
    pub tag: Tag,
    /// Requests in flight that came because the tag was live.
    pub in_flight: Arc<InFlight>,
    /// Requests in flight that came by a path. Counted on their own: they go on coming when the domain
    /// is switched away from the tag.
    by_path: Option<Arc<InFlight>>,
    /// Requests that have ended.
    pub traffic: Arc<Traffic>,
}

impl TagLive {
    fn new(tag: Tag) -> Self {
        Self { tag, in_flight: Arc::default(), by_path: None, traffic: Arc::default() }
    }

    /// All requests in flight.
    pub fn requests(&self) -> usize {
        self.in_flight.count() + self.requests_by_path()
    }

    fn requests_by_path(&self) -> usize {
        self.by_path.as_ref().map_or(0, |by_path| by_path.count())
    }
}

/// A path of a domain that another tag serves: where its option and its tag stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteNode {
    /// In the options' `paths`.
    option: usize,
    /// In the node's tags.
    tag: usize,
}

/// A virtual host as routing sees it.
#[derive(Debug)]
pub struct DomainNode {
    /// What the operator declared, and the live tag.
    pub virtual_host: VirtualHost,
    /// The live tag first, then those of paths, then tags left behind that still count.
    tags: Vec<TagLive>,
    /// The longest prefix first.
    routes: Box<[RouteNode]>,
    switches: Arc<Switches>,
    /// What browsers are told of HTTPS (RFC 6797 §6.1), written once; boxed, for most domains have none.
    hsts: Option<Box<HeaderValue>>,
    /// Where requests wait, or may still do: while it is paused, and until they have gone on.
    pause_line: Option<Arc<PauseLine>>,
    /// How many requests it takes; nothing where any number.
    rates: Option<Box<Rates>>,
}

/// Two nodes are the same when nothing about the domain would have to be told to anyone.
impl PartialEq for DomainNode {
    fn eq(&self, other: &Self) -> bool {
        self.virtual_host == other.virtual_host
    }
}

impl DomainNode {
    /// `has_backends` tells of a tag whether any backend carries it.
    fn new(
        virtual_host: VirtualHost,
        before: Option<&Self>,
        has_backends: impl Fn(&Tag) -> bool,
    ) -> Self {
        let known = before.map_or(&[][..], |node| &node.tags);
        let live = known.iter().find(|known| known.tag == virtual_host.live).cloned();
        let mut tags = Vec::with_capacity(1);
        tags.push(live.unwrap_or_else(|| TagLive::new(virtual_host.live.clone())));
        let routes = routes(&virtual_host, known, &mut tags);
        // The tags that are being left stay on the list even at zero: a request may have read the
        // snapshot before this one and be about to count itself. One that still has backends stays
        // with its counters: the next switch may go back.
        let served = before.map_or(0, |node| node.serving().len());
        let stays = |(place, known): &(usize, &TagLive)| {
            tags.iter().all(|tag| tag.tag != known.tag)
                && (*place < served
                    || known.requests() > 0
                    || (known.traffic.counts().is_some() && has_backends(&known.tag)))
        };
        let left: Vec<_> =
            known.iter().enumerate().filter(stays).map(|(_, tag)| tag.clone()).collect();
        tags.extend(left);
        let hsts = match virtual_host.hsts_max_age_secs {
            0 => None,
            secs => HeaderValue::try_from(format!("max-age={secs}")).ok().map(Box::new),
        };
        let pause_line = pause_line(&virtual_host, before);
        let rates = Rates::of(&virtual_host.options, before.and_then(Self::rates));
        let switches = before.map(|node| Arc::clone(&node.switches)).unwrap_or_default();
        Self { virtual_host, tags, routes, switches, hsts, pause_line, rates }
    }

    /// How many requests it takes, where that is limited.
    pub fn rates(&self) -> Option<&Rates> {
        self.rates.as_deref()
    }

    /// Where requests have to wait.
    pub fn pause_line(&self) -> Option<&Arc<PauseLine>> {
        self.pause_line.as_ref().filter(|line| !line.is_over())
    }

    fn is_paused(&self) -> bool {
        self.virtual_host.options.get().pause.is_some()
    }

    /// The value of `Strict-Transport-Security` over HTTPS, where there is to be one.
    pub fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_deref()
    }

    /// How its switches ended.
    pub fn switches(&self) -> &Arc<Switches> {
        &self.switches
    }

    /// What is observed of each tag that counts: the live one first, then those of paths, then those
    /// left behind.
    pub fn tags(&self) -> &[TagLive] {
        &self.tags
    }

    /// Those of them that serve: the live one, and those of paths.
    pub fn serving(&self) -> &[TagLive] {
        let routed = self.routes.iter().map(|route| route.tag).max().unwrap_or_default();
        &self.tags[..=routed]
    }

    /// Whether the live tag serves every path.
    pub fn has_no_routes(&self) -> bool {
        self.routes.is_empty()
    }

    /// The route of a path; nothing where the live tag serves it.
    pub fn route_of(&self, path: &str) -> Option<RouteNode> {
        let fits = |route: &&RouteNode| self.option_of(**route).prefix.fits(path);
        self.routes.iter().find(fits).copied()
    }

    /// What the operator declared of a route.
    pub fn option_of(&self, route: RouteNode) -> &PathRoute {
        &self.virtual_host.options.get().paths[route.option]
    }

    /// What is observed of the tag of a route, or of the live tag.
    pub fn tag_of(&self, route: Option<RouteNode>) -> &TagLive {
        &self.tags[route.map_or(0, |route| route.tag)]
    }

    /// Counts a request in on the tag of a route, or on the live tag.
    pub(super) fn enter(&self, route: Option<RouteNode>) -> InFlightGuard {
        let tag = self.tag_of(route);
        let by_path = route.and(tag.by_path.as_ref());
        by_path.unwrap_or(&tag.in_flight).enter()
    }

    /// Requests that run on tags, or came by paths, that serve no more.
    pub fn left_behind(&self) -> usize {
        self.left().map(|(_, requests)| requests).sum()
    }

    /// The same by tag, the live tag first.
    pub fn left(&self) -> impl Iterator<Item = (&Tag, usize)> {
        let by_path =
            |tag: &Tag| self.routes.iter().any(|route| self.option_of(*route).tag == *tag);
        self.tags.iter().enumerate().map(move |(place, of)| {
            let live = if place == 0 { 0 } else { of.in_flight.count() };
            (&of.tag, live + if by_path(&of.tag) { 0 } else { of.requests_by_path() })
        })
    }

    /// What is observed of the live tag.
    pub fn live(&self) -> &TagLive {
        &self.tags[0]
    }

    /// Requests of this domain in flight on `tag`, where some may be.
    pub fn in_flight_on(&self, tag: &Tag) -> Option<&Arc<InFlight>> {
        self.tags.iter().find(|of| of.tag == *tag).map(|of| &of.in_flight)
    }

    /// Requests in flight by tag, the live tag first.
    pub fn in_flight(&self) -> impl Iterator<Item = (&Tag, usize)> {
        self.tags.iter().map(|of| (&of.tag, of.requests()))
    }
}

/// The routes of a virtual host, the longest prefix first. Their tags join `tags`, with what is `known`
/// of them.
fn routes(
    virtual_host: &VirtualHost,
    known: &[TagLive],
    tags: &mut Vec<TagLive>,
) -> Box<[RouteNode]> {
    let paths = &virtual_host.options.get().paths;
    let mut routes: Vec<RouteNode> = Vec::with_capacity(paths.len());
    for (option, path) in paths.iter().enumerate() {
        let tag = tags.iter().position(|of| of.tag == path.tag).unwrap_or_else(|| {
            let known = known.iter().find(|known| known.tag == path.tag).cloned();
            tags.push(known.unwrap_or_else(|| TagLive::new(path.tag.clone())));
            tags.len() - 1
        });
        tags[tag].by_path.get_or_insert_default();
        routes.push(RouteNode { option, tag });
    }
    routes.sort_by_key(|route| std::cmp::Reverse(paths[route.option].prefix.as_str().len()));
    routes.into()
}

/// The line of a pause that goes on, or that has just ended: a request may have read the snapshot before
/// this one and be about to join.
fn pause_line(virtual_host: &VirtualHost, before: Option<&DomainNode>) -> Option<Arc<PauseLine>> {
    let known = before.and_then(|node| node.pause_line.as_ref());
    let was_paused = before.is_some_and(DomainNode::is_paused);
    if virtual_host.options.get().pause.is_some() {
        return Some(known.filter(|_| was_paused).cloned().unwrap_or_default());
    }
    known.filter(|line| was_paused || line.waiting() > 0).cloned()
}

/// A backend as routing sees it.
#[derive(Debug, Clone)]
pub struct BackendNode {
    /// What the operator declared.
    pub backend: Backend,
    /// What is observed of it, shared by every snapshot that holds the backend.
    pub live: Arc<BackendLive>,
    tls: files::NodeTls,
    connection_group: u64,
    seed: u64,
}

/// Two nodes are the same when nothing about the backend would have to be told to anyone.
impl PartialEq for BackendNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live)
            && self.backend == other.backend
            && self.connection_group == other.connection_group
    }
}

impl BackendNode {
    /// A backend that no snapshot has held before. Blocks where its TLS is in files.
    pub fn new(backend: Backend) -> Self {
        let live = Arc::new(BackendLive::new(&backend.address, backend.state));
        let tls = files::read(&backend);
        Self::of(backend, live, tls)
    }

    fn following(backend: Backend, before: &Self) -> Self {
        fn way(backend: &Backend) -> impl PartialEq + '_ {
            let Backend { address, scheme, tls, send_proxy_protocol, .. } = backend;
            (address, scheme, tls, send_proxy_protocol)
        }
        if way(&before.backend) == way(&backend) {
            return Self::of(backend, Arc::clone(&before.live), before.tls.clone());
        }
        let live = Arc::new(before.live.moved(&backend.address, backend.state));
        let tls = files::read(&backend);
        Self::of(backend, live, tls)
    }

    fn with_tls(&self, tls: PeerTls) -> Self {
        Self::of(self.backend.clone(), Arc::clone(&self.live), Some(Ok(Arc::new(tls))))
    }

    fn of(backend: Backend, live: Arc<BackendLive>, tls: files::NodeTls) -> Self {
        let connection_group = connection_group(&backend, &tls);
        Self { connection_group, seed: seed(&backend.id), backend, live, tls }
    }

    /// What handshakes with it need; nothing where it is spoken to in the clear.
    ///
    /// # Errors
    /// When its files can't be used, so that there can be no handshake.
    pub fn tls(&self) -> Result<Option<&PeerTls>, &TlsFileError> {
        match &self.tls {
            None => Ok(None),
            Some(Ok(tls)) => Ok(Some(tls)),
            Some(Err(error)) => Err(error),
        }
    }

    /// Tells kept connections apart: another backend, or the same one moved, has another number.
    pub fn connection_group(&self) -> u64 {
        self.connection_group
    }

    /// What tells it from other backends when keys are spread; its id's alone, so that a move changes
    /// nothing.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

/// Hashed when the state changes, so that requests need not. Pingora's own key has neither the CAs nor
/// ALPN, and of a client certificate nothing but its serial number: so all of it is in here.
fn connection_group(backend: &Backend, tls: &files::NodeTls) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    let Backend { id, address, scheme, tls: options, send_proxy_protocol, .. } = backend;
    (id, address, scheme, options, send_proxy_protocol).hash(&mut hasher);
    if let Some(Ok(tls)) = tls {
        tls.digest().hash(&mut hasher);
    }
    hasher.finish()
}

/// The same on every server and after every restart.
fn seed(id: &BackendId) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

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

    /// The backends that carry `tag`; nothing when none does.
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

    /// The virtual hosts that differ from those of `before`, each as it was and as it is; told without
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

    /// Whether `other` holds the very same backends, told without looking at each.
    pub fn shares_backends(&self, other: &Self) -> bool {
        self.backends.ptr_eq(&other.backends)
    }

    /// The snapshot after `changes`. The changes have been checked: names don't collide.
    #[must_use]
    pub fn after(&self, changes: Vec<Change>, revision: u64) -> Self {
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
                            BackendNode::following(backend, before)
                        }
                        None => BackendNode::new(backend),
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
                && let Some(line) = &old.pause_line
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
