//! Builds reports.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::Counters;
use super::history::{History, per_second};
use super::track::{Owner, Reach, Tracks};
use crate::clock::whole_micros;
use crate::counters::LatencyCells;
use crate::model::{
    BackendId, BackendState, DomainName, HealthStatus, StatsSort, StatsWindow, Tag,
};
use crate::state::{BackendNode, DomainNode, Snapshot, TagLive};

/// A query for a report.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// This domain only, with the backends of its tags.
    pub domain: Option<DomainName>,
    /// This backend only, and no domain unless one is given too.
    pub backend: Option<BackendId>,
    /// The requested window.
    pub window: StatsWindow,
    /// The order of the rows.
    pub sort: StatsSort,
    /// The most domains, and the most backends.
    pub limit: usize,
}

/// The figures at one moment.
#[derive(Debug)]
pub(crate) struct Report {
    /// The revision of the state.
    pub revision: u64,
    /// How long the server has been counting.
    pub uptime: Duration,
    /// The requested window.
    pub window: StatsWindow,
    /// The actual window, which reaches back to a tick.
    pub span: Duration,
    /// All domains, including removed ones.
    pub total: Figures,
    /// Requests a second in each of the last ticks, the oldest first.
    pub rates: Vec<f64>,
    /// The domains in the requested order.
    pub domains: Vec<DomainReport>,
    /// The number of domains beyond the limit.
    pub more_domains: usize,
    /// The backends: unhealthy ones first, then the others in the requested order.
    pub backends: Vec<BackendReport>,
    /// The number of backends beyond the limit.
    pub more_backends: usize,
}

/// The figures of requests in a window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub span: Duration,
    /// Requests that have begun and not ended.
    pub in_flight: usize,
    /// What was counted.
    pub counters: Counters,
    /// How long they took.
    pub latency: LatencyCells,
}

impl Figures {
    /// The rate a second.
    pub(crate) fn rate_of(&self, number: u64) -> f64 {
        per_second(number, self.span)
    }

    /// The share of requests that failed, 0 to 1.
    pub(crate) fn error_share(&self) -> f64 {
        let Counters { requests, errors, .. } = self.counters;
        #[expect(clippy::cast_precision_loss, reason = "nobody reads its sixteenth digit")]
        let share = errors as f64 / requests.max(1) as f64;
        share.min(1.0)
    }
}

#[derive(Debug)]
pub(crate) struct DomainReport {
    pub node: Arc<DomainNode>,
    /// All its tags together.
    pub figures: Figures,
    /// Requests a second in each of the last ticks, the oldest first.
    pub rates: Vec<f64>,
    /// Each tag with figures, the live one first.
    pub tags: Vec<TagReport>,
}

/// A domain's requests on one tag.
#[derive(Debug)]
pub(crate) struct TagReport {
    pub tag: Tag,
    pub figures: Figures,
}

#[derive(Debug)]
pub(crate) struct BackendReport {
    pub node: Arc<BackendNode>,
    /// Its figures. Durations are until the answer began.
    pub figures: Figures,
    /// Requests a second in each of the last ticks, the oldest first.
    pub rates: Vec<f64>,
}

/// Builds a report at `now`, a time since the start.
pub(super) fn report(
    history: &History,
    snapshot: &Snapshot,
    query: &Query,
    now: Duration,
) -> Report {
    let (reach, span) = history.reach(query.window, now);
    let reading = Reading { history, reach, span };
    let total = history.total(snapshot, reach);
    let in_flight = snapshot.domains().flat_map(|node| node.in_flight()).map(|(_, count)| count);
    let (domains, more_domains) = reading.domains(snapshot, query);
    let (backends, more_backends) = reading.backends(snapshot, query);
    Report {
        revision: snapshot.revision(),
        uptime: now,
        window: query.window,
        span,
        total: Figures {
            span,
            in_flight: in_flight.sum(),
            counters: total.counters,
            latency: total.cells,
        },
        rates: history.total_rates(),
        domains,
        more_domains,
        backends,
        more_backends,
    }
}

struct Reading<'a> {
    history: &'a History,
    reach: Reach,
    span: Duration,
}

impl Reading<'_> {
    fn domains(&self, snapshot: &Snapshot, query: &Query) -> (Vec<DomainReport>, usize) {
        let nodes: Vec<_> = match (&query.domain, &query.backend) {
            (Some(domain), _) => snapshot.domain(domain).into_iter().collect(),
            (None, Some(_)) => Vec::new(),
            (None, None) => snapshot.domains().collect(),
        };
        let all = nodes.len();
        let first = first(nodes, query, |node| self.weight_of_domain(node, query.sort));
        let domains: Vec<_> = first.into_iter().map(|node| self.domain(node)).collect();
        let more = all - domains.len();
        (domains, more)
    }

    fn domain(&self, node: &Arc<DomainNode>) -> DomainReport {
        let tracks = &self.history.tags;
        let report = |of: &TagLive| {
            let figures = self.figures(tracks, &of.traffic, of.requests());
            TagReport { tag: of.tag().clone(), figures }
        };
        let tags: Vec<_> = node.tags().iter().map(report).collect();
        let mut figures = Figures { span: self.span, ..Figures::default() };
        for tag in &tags {
            figures.in_flight += tag.figures.in_flight;
            figures.counters.add(&tag.figures.counters);
            figures.latency.add(&tag.figures.latency);
        }
        let rates = self.history.rates(|sums| {
            for of in node.tags() {
                tracks.add_requests(&of.traffic, self.history.number, sums);
            }
        });
        DomainReport { node: Arc::clone(node), figures, rates, tags }
    }

    fn weight_of_domain(&self, node: &DomainNode, sort: StatsSort) -> u64 {
        let in_flight = || node.in_flight().map(|(_, count)| count).sum();
        let traffic = node.tags().iter().map(|of| &of.traffic);
        self.weight(&self.history.tags, traffic, in_flight, sort)
    }

    /// What those have had that are counted in `owners`.
    fn weight<'o, O: Owner + 'o>(
        &self,
        tracks: &Tracks<O>,
        owners: impl Iterator<Item = &'o O> + Clone,
        in_flight: impl FnOnce() -> usize,
        sort: StatsSort,
    ) -> u64 {
        let of_all = |value: fn(&Counters) -> u64| {
            owners.clone().map(|owner| value(&tracks.counters(owner, self.reach))).sum()
        };
        match sort {
            StatsSort::Rate => of_all(|counters| counters.requests),
            StatsSort::Errors => of_all(|counters| counters.errors),
            StatsSort::InFlight => in_flight() as u64,
            StatsSort::P99 => {
                // Most of many have had no request at all.
                let is_idle =
                    |owner: &O| owner.traffic().counts().is_none() && !tracks.knows(owner);
                if owners.clone().all(is_idle) {
                    return 0;
                }
                let mut cells = LatencyCells::default();
                owners.for_each(|owner| tracks.add_cells(owner, self.reach, &mut cells));
                p99(&cells)
            }
            StatsSort::Name => 0,
        }
    }

    fn figures<O: Owner>(&self, tracks: &Tracks<O>, owner: &O, in_flight: usize) -> Figures {
        let mut latency = LatencyCells::default();
        tracks.add_cells(owner, self.reach, &mut latency);
        let counters = tracks.counters(owner, self.reach);
        Figures { span: self.span, in_flight, counters, latency }
    }

    fn backends(&self, snapshot: &Snapshot, query: &Query) -> (Vec<BackendReport>, usize) {
        let nodes: Vec<_> = match (&query.backend, &query.domain) {
            (Some(id), _) => snapshot.backend(id).into_iter().collect(),
            (None, Some(domain)) => {
                let tags: Vec<_> =
                    snapshot.domain(domain).into_iter().flat_map(|node| node.tags()).collect();
                let serves =
                    |node: &&Arc<BackendNode>| tags.iter().any(|of| node.backend.is_in(&of.pool));
                snapshot.backends().filter(serves).collect()
            }
            (None, None) => snapshot.backends().collect(),
        };
        let all = nodes.len();
        let first = first(nodes, query, |node| {
            let weight = self.weight_of_backend(node, query.sort);
            (is_unhealthy(node) && query.sort != StatsSort::Name, weight)
        });
        let backends: Vec<_> = first.into_iter().map(|node| self.backend(node)).collect();
        let more = all - backends.len();
        (backends, more)
    }

    fn backend(&self, node: &Arc<BackendNode>) -> BackendReport {
        let tracks = &self.history.backends;
        let figures = self.figures(tracks, &node.live, node.live.in_flight());
        let rates =
            self.history.rates(|sums| tracks.add_requests(&node.live, self.history.number, sums));
        BackendReport { node: Arc::clone(node), figures, rates }
    }

    fn weight_of_backend(&self, node: &BackendNode, sort: StatsSort) -> u64 {
        let owners = std::iter::once(&node.live);
        self.weight(&self.history.backends, owners, || node.live.in_flight(), sort)
    }
}

/// Whether it is ready but unhealthy.
fn is_unhealthy(node: &BackendNode) -> bool {
    node.backend.state != BackendState::Disabled && node.live.health() == HealthStatus::Unhealthy
}

fn p99(cells: &LatencyCells) -> u64 {
    whole_micros(cells.quantile(0.99).unwrap_or_default())
}

/// The first by weight, up to the limit; equal ones by name. `all` is sorted by name.
fn first<T, W: Ord>(all: Vec<T>, query: &Query, weight: impl Fn(&T) -> W) -> Vec<T> {
    let mut weighed: Vec<_> =
        all.into_iter().enumerate().map(|(at, one)| (weight(&one), at, one)).collect();
    let order = |(one, at, _): &(W, usize, T), (other, other_at, _): &(W, usize, T)| -> Ordering {
        other.cmp(one).then(at.cmp(other_at))
    };
    if query.limit < weighed.len() {
        // Only these are sorted.
        weighed.select_nth_unstable_by(query.limit, order);
        weighed.truncate(query.limit);
    }
    weighed.sort_unstable_by(order);
    weighed.into_iter().map(|(_, _, one)| one).collect()
}
