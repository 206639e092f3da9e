//! A domain as routing sees it: what was declared, what is observed, and what requests need of it.

use std::sync::Arc;

use http::HeaderValue;

use super::{DomainTimes, OnTrial, PauseLine, Rates, RouteNode, Switches, Traffic, Way};
use crate::counters::{InFlight, InFlightGuard};
use crate::model::{AccessLogRule, App, PathRoute, PoolName, ReleaseLabel, Size, Tag, VirtualHost};

/// What is observed of a domain's requests on one tag.
#[derive(Debug, Clone)]
pub struct TagLive {
    /// The tag, with the app in which it is one.
    pub pool: PoolName,
    /// The label of the version that was deployed there.
    pub release: Option<ReleaseLabel>,
    /// Requests in flight that came because the tag was live, had a share, or was asked for.
    pub in_flight: Arc<InFlight>,
    /// Requests in flight that came by a path. Counted on their own: they go on coming when the domain
    /// is switched away from the tag.
    by_path: Option<Arc<InFlight>>,
    /// Requests that have ended.
    pub traffic: Arc<Traffic>,
}

impl TagLive {
    fn new(pool: PoolName) -> Self {
        let (in_flight, traffic) = (Arc::default(), Arc::default());
        Self { pool, release: None, in_flight, by_path: None, traffic }
    }

    /// The tag.
    pub fn tag(&self) -> &Tag {
        &self.pool.tag
    }

    /// All requests in flight.
    pub fn requests(&self) -> usize {
        self.in_flight.count() + self.requests_by_path()
    }

    fn requests_by_path(&self) -> usize {
        self.by_path.as_ref().map_or(0, |by_path| by_path.count())
    }
}

/// A virtual host as routing sees it.
#[derive(Debug)]
pub struct DomainNode {
    /// What the operator declared, and the live tag.
    pub virtual_host: VirtualHost,
    /// The live tag first, then those with a share, those with a preview, those of paths, and then tags left
    /// behind that still count.
    tags: Vec<TagLive>,
    /// How many of the first of them serve what no path takes.
    chosen: usize,
    /// How many of the first of them serve.
    served: usize,
    /// The longest prefix first.
    routes: Box<[RouteNode]>,
    /// The new tag that is on trial.
    on_trial: Option<Arc<OnTrial>>,
    switches: Arc<Switches>,
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1), written once; boxed, for most domains have none.
    hsts: Option<Box<HeaderValue>>,
    /// Where requests wait, or may still do: while it is paused, and until they have gone on.
    pause_line: Option<Arc<PauseLine>>,
    /// How many requests it takes; nothing where any number.
    rates: Option<Box<Rates>>,
    /// How long its requests may take; boxed, for most domains have no times of their own.
    times: Option<Box<DomainTimes>>,
    max_body_bytes: Option<Size>,
    access_log: AccessLogRule,
}

/// Two nodes are equal when what is declared of the domain, and of its app, is: counters don't matter.
impl PartialEq for DomainNode {
    fn eq(&self, other: &Self) -> bool {
        self.virtual_host == other.virtual_host
            && self.times == other.times
            && self.max_body_bytes == other.max_body_bytes
            && self.access_log == other.access_log
    }
}

impl DomainNode {
    /// `app` is the one that it belongs to; `has_backends` is whether a pool has any.
    pub(super) fn new(
        virtual_host: VirtualHost,
        app: Option<&App>,
        before: Option<&Self>,
        has_backends: impl Fn(&PoolName) -> bool,
    ) -> Self {
        // Counters are those of a domain on a tag: they go on where it joins another app.
        let known = before.map_or(&[][..], |node| &node.tags).iter();
        let known = known.map(|tag| TagLive { pool: virtual_host.pool(tag.tag()), ..tag.clone() });
        let known: Vec<_> = known.collect();
        let live_pool = virtual_host.pool(&virtual_host.live);
        let live = known.iter().find(|known| known.pool == live_pool).cloned();
        let mut tags = Vec::with_capacity(1);
        tags.push(live.unwrap_or_else(|| TagLive::new(live_pool)));
        let beside = &virtual_host.beside;
        let previews = beside.previews.iter().map(|preview| &preview.tag);
        for tag in beside.tags().into_iter().chain(previews) {
            place_of(virtual_host.pool(tag), &known, &mut tags);
        }
        let chosen = tags.len();
        let routes = routes(&virtual_host, &known, &mut tags);
        let (served, on_trial) =
            (tags.len(), OnTrial::of(&virtual_host, before.and_then(Self::on_trial)));
        // The tags that are being left stay on the list even at zero: a request may have read the
        // snapshot before this one and be about to count itself. One that still has backends stays
        // with its counters: the next switch may go back.
        let served_before = before.map_or(0, |node| node.served);
        let stays = |(place, known): &(usize, &TagLive)| {
            tags.iter().all(|tag| tag.pool != known.pool)
                && (*place < served_before
                    || known.requests() > 0
                    || (known.traffic.counts().is_some() && has_backends(&known.pool)))
        };
        let left: Vec<_> =
            known.iter().enumerate().filter(stays).map(|(_, tag)| tag.clone()).collect();
        tags.extend(left);
        for of in &mut tags {
            let app = app.filter(|app| of.pool.app.as_ref() == Some(&app.name));
            of.release = app.and_then(|app| app.label_of(&of.pool.tag)).cloned();
        }
        let hsts = match virtual_host.top.hsts_max_age_secs.get() {
            0 => None,
            secs => HeaderValue::try_from(format!("max-age={secs}")).ok().map(Box::new),
        };
        let pause_line = pause_line(&virtual_host, before);
        let rates = Rates::of(&virtual_host.options, before.and_then(Self::rates));
        let switches = before.map(|node| Arc::clone(&node.switches)).unwrap_or_default();
        let (options, app) = (virtual_host.options.get(), app.map(|app| &app.options));
        let max_body_bytes = options.max_body_bytes.or(app.and_then(|app| app.max_body_bytes));
        let access_log = options.access_log.or(app.map(|app| app.access_log).unwrap_or_default());
        let times = DomainTimes::of(options, app);
        let times = (times != DomainTimes::NONE).then(|| Box::new(times));
        Self {
            virtual_host,
            tags,
            chosen,
            served,
            routes,
            on_trial,
            switches,
            hsts,
            pause_line,
            rates,
            times,
            max_body_bytes,
            access_log,
        }
    }

    /// How large a request's body may be, where that is limited: by its own option, else by its app's.
    pub fn max_body_bytes(&self) -> Option<Size> {
        self.max_body_bytes
    }

    /// Which of its requests the access log has, as far as it or its app says.
    pub fn access_log(&self) -> AccessLogRule {
        self.access_log
    }

    /// How long its requests may take.
    pub fn times(&self) -> &DomainTimes {
        self.times.as_deref().unwrap_or(&DomainTimes::NONE)
    }

    /// How many requests it takes, where that is limited.
    pub fn rates(&self) -> Option<&Rates> {
        self.rates.as_deref()
    }

    /// Where requests have to wait.
    pub fn pause_line(&self) -> Option<&Arc<PauseLine>> {
        self.pause_line.as_ref().filter(|line| !line.is_over())
    }

    pub(super) fn is_paused(&self) -> bool {
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

    /// What is observed of each tag that counts: the live one first, then those beside it, those of paths, and
    /// then those left behind.
    pub fn tags(&self) -> &[TagLive] {
        &self.tags
    }

    /// Those of them that serve: the live one, those beside it, and those of paths.
    pub fn serving(&self) -> &[TagLive] {
        &self.tags[..self.served]
    }

    /// Whether anything but its path decides which tag a request goes to.
    pub fn has_choice(&self) -> bool {
        !self.virtual_host.beside.is_empty()
    }

    /// The new tag that is on trial.
    pub fn on_trial(&self) -> Option<&Arc<OnTrial>> {
        self.on_trial.as_ref()
    }

    /// The way of a request for this path where nothing else decides.
    pub fn way_of_path(&self, path: &str) -> Way {
        self.route_of(path).map_or(Way::Live, Way::Path)
    }

    /// The way to a tag that serves what no path takes; `by` says why it goes there.
    pub fn way_to(&self, tag: &Tag, by: fn(usize) -> Way) -> Option<Way> {
        let place = self.tags[..self.chosen].iter().position(|of| of.pool.tag == *tag)?;
        Some(if place == 0 && by(0) == Way::Share(0) { Way::Live } else { by(place) })
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

    /// What is observed of the tag of a way.
    pub fn tag_of(&self, way: Way) -> &TagLive {
        &self.tags[way.place()]
    }

    /// The backends that a request on its way to the tag on trial may be tried on once if that fails it.
    pub(super) fn net(&self, way: Way) -> Option<&PoolName> {
        self.on_trial.as_ref()?.net(way, self.tag_of(way).tag())
    }

    /// Counts a request in on the tag of its way.
    pub(super) fn enter(&self, way: Way) -> InFlightGuard {
        let tag = self.tag_of(way);
        let by_path = way.route().and(tag.by_path.as_ref());
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
            let live = if place < self.chosen { 0 } else { of.in_flight.count() };
            (of.tag(), live + if by_path(of.tag()) { 0 } else { of.requests_by_path() })
        })
    }

    /// What is observed of the live tag.
    pub fn live(&self) -> &TagLive {
        &self.tags[0]
    }

    /// Requests of this domain in flight on `tag`, where some may be.
    pub fn in_flight_on(&self, tag: &Tag) -> Option<&Arc<InFlight>> {
        self.tags.iter().find(|of| of.pool.tag == *tag).map(|of| &of.in_flight)
    }

    /// Each count of requests, and whether what they came for serves still.
    fn counts(&self) -> impl Iterator<Item = (&Arc<InFlight>, bool)> {
        self.tags.iter().enumerate().flat_map(move |(place, of)| {
            let is_routed = self.routes.iter().any(|route| route.tag == place);
            let by_path = of.by_path.iter().map(move |by_path| (by_path, is_routed));
            std::iter::once((&of.in_flight, place < self.chosen)).chain(by_path)
        })
    }

    /// Announces to what runs on its tags which of them it has left since `before`, and which serve.
    pub(super) fn announce_departures(&self, before: &Self) {
        let is_changed = self.times().close_left != before.times().close_left;
        for (count, serves) in self.counts() {
            let departure = count.departure();
            if serves {
                departure.come_back();
            } else {
                departure.leave();
            }
            if is_changed {
                departure.announce();
            }
        }
        // What is not known any more comes back under a count of its own.
        let is_known =
            |count: &Arc<InFlight>| self.counts().any(|(own, _)| Arc::ptr_eq(own, count));
        for (count, _) in before.counts().filter(|(count, _)| !is_known(count)) {
            count.departure().leave();
        }
    }

    /// Announces to what runs on its tags that it was removed.
    pub(super) fn announce_removal(&self) {
        self.counts().for_each(|(count, _)| count.departure().leave());
    }

    /// Requests in flight by tag, the live tag first.
    pub fn in_flight(&self) -> impl Iterator<Item = (&Tag, usize)> {
        self.tags.iter().map(|of| (of.tag(), of.requests()))
    }
}

/// The place of a pool in `tags`, which it joins if it must, with what is `known` of it.
fn place_of(pool: PoolName, known: &[TagLive], tags: &mut Vec<TagLive>) -> usize {
    tags.iter().position(|of| of.pool == pool).unwrap_or_else(|| {
        let known = known.iter().find(|known| known.pool == pool).cloned();
        tags.push(known.unwrap_or_else(|| TagLive::new(pool)));
        tags.len() - 1
    })
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
        let tag = place_of(virtual_host.pool(&path.tag), known, tags);
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
