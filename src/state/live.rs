//! What is observed of backends and domains: counters, health, resolved addresses.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;

use super::{Pace, Traffic};
use crate::counters::{Departure, InFlight, InFlightGuard};
use crate::link::{Kept, Link};
use crate::model::{
    BackendAddr, BackendState, HealthReport, HealthStatus, RequestLimit, UpstreamFailure,
};
use crate::sync::{AtomicBool, fence};

/// Where a backend can be reached now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoints {
    /// The addresses its name stands for; empty when the name has not been resolved. The first is
    /// the one to prefer: it answered the last probe. The others are for further tries.
    Tcp(Vec<SocketAddr>),
    /// A Unix socket.
    Unix(Arc<Path>),
}

impl Endpoints {
    fn of(address: &BackendAddr) -> Self {
        match address {
            BackendAddr::Ip(address) => Self::Tcp(vec![*address]),
            BackendAddr::Name { .. } => Self::Tcp(Vec::new()),
            BackendAddr::Unix(path) => Self::Unix(Arc::clone(path)),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Tcp(addresses) => addresses.len(),
            Self::Unix(_) => 1,
        }
    }

    /// Each as text.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Tcp(addresses) => addresses.iter().map(ToString::to_string).collect(),
            Self::Unix(path) => vec![path.display().to_string()],
        }
    }

    /// Whether the backend cannot be reached, because its name has not been resolved.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is observed of one backend. Outlives changes of its weight, tags and state.
#[derive(Debug)]
pub struct BackendLive {
    in_flight: Arc<InFlight>,
    admitting: AtomicBool,
    departure: Departure,
    /// How many requests may run at once: 0 is any number, and [`NO_LIMIT_GIVEN`] as many as on all others.
    max_requests: AtomicUsize,
    endpoints: ArcSwap<Endpoints>,
    status: AtomicU8,
    report: ArcSwap<HealthReport>,
    /// The row of failures that traffic sees: its number in the upper half, its length in the lower.
    /// A success ends the row; the number tells a row from the next one of the same length.
    passive_row: AtomicU64,
    /// The row as the health room last took it.
    passive_taken: AtomicU64,
    passive_reason: ArcSwapOption<String>,
    passive_noted: Notify,
    pace: Pace,
    only_http1: AtomicBool,
    kept: Kept,
    /// Told when a request has ended that may have kept others waiting.
    freed: Notify,
    counts: Arc<BackendCounts>,
}

/// What is counted of a backend for as long as there is one of its id, wherever it moves: none of it
/// ever falls.
#[derive(Debug, Default)]
struct BackendCounts {
    requests: AtomicU64,
    failures: [AtomicU64; UpstreamFailure::COUNT],
    transitions: [AtomicU64; HealthStatus::ALL.len()],
    traffic: Traffic,
}

/// Why a backend takes no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It has as many as it may.
    Busy,
    /// It takes none any more.
    Out,
}

/// No number of requests: a limit is smaller.
const NO_LIMIT_GIVEN: usize = usize::MAX;

impl BackendLive {
    /// A backend of which nothing is known yet.
    pub fn new(address: &BackendAddr, state: BackendState) -> Self {
        Self::with_counts(address, state, Arc::default(), Arc::default())
    }

    /// A handshake has shown that it does not offer HTTP/2.
    pub fn note_only_http1(&self) {
        // Written once: what is only read stays in every core's cache.
        if !self.speaks_only_http1() {
            self.only_http1.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it did not offer HTTP/2 when it was last asked.
    pub fn speaks_only_http1(&self) -> bool {
        self.only_http1.load(Ordering::Relaxed)
    }

    /// A backend that moved to another address: what was observed of the old one is void, but the
    /// requests that run there are still this backend's, and so is what was counted.
    pub(super) fn moved(&self, address: &BackendAddr, state: BackendState) -> Self {
        let (in_flight, counts) = (Arc::clone(&self.in_flight), Arc::clone(&self.counts));
        Self::with_counts(address, state, in_flight, counts)
    }

    fn with_counts(
        address: &BackendAddr,
        state: BackendState,
        in_flight: Arc<InFlight>,
        counts: Arc<BackendCounts>,
    ) -> Self {
        Self {
            in_flight,
            admitting: AtomicBool::new(state == BackendState::Ready),
            departure: Departure::default(),
            max_requests: AtomicUsize::new(NO_LIMIT_GIVEN),
            endpoints: ArcSwap::from_pointee(Endpoints::of(address)),
            status: AtomicU8::new(HealthStatus::Unknown as u8),
            report: ArcSwap::default(),
            passive_row: AtomicU64::new(0),
            passive_taken: AtomicU64::new(0),
            passive_reason: ArcSwapOption::empty(),
            passive_noted: Notify::new(),
            pace: Pace::new(state == BackendState::Ready),
            only_http1: AtomicBool::new(false),
            kept: Kept::default(),
            freed: Notify::new(),
            counts,
        }
    }

    /// How many requests may run at once, which is `default` where it has no limit of its own; `None` is any
    /// number. As it is now: who waits for room has an earlier snapshot.
    pub fn max_requests(&self, default: Option<NonZeroUsize>) -> Option<NonZeroUsize> {
        match self.max_requests.load(Ordering::Relaxed) {
            NO_LIMIT_GIVEN => default,
            limit => NonZeroUsize::new(limit),
        }
    }

    /// Follows the desired state, and has those who wait for room look again where the limit is another one.
    pub(super) fn set_max_requests(&self, limit: Option<RequestLimit>) {
        let limit = limit.map_or(NO_LIMIT_GIVEN, |own| own.get().map_or(0, NonZeroUsize::get));
        if self.max_requests.swap(limit, Ordering::Relaxed) != limit {
            self.freed.notify_waiters();
        }
    }

    /// Counts a request in, unless the backend takes none any more, or has `most` already.
    ///
    /// A request may have pinned a snapshot in which the backend was still ready. It counts itself
    /// first and looks at the flag after; whoever drains lowers the flag first and reads the count
    /// after. So either the request turns away, or the drain sees it.
    ///
    /// # Errors
    /// When it is not counted.
    pub fn admit(&self, most: Option<NonZeroUsize>) -> Result<InFlightGuard, NotAdmitted> {
        let guard = match most {
            None => self.in_flight.enter(),
            Some(most) => self.in_flight.try_enter(most.get()).ok_or(NotAdmitted::Busy)?,
        };
        fence(Ordering::SeqCst);
        if self.admitting.load(Ordering::SeqCst) {
            self.counts.requests.fetch_add(1, Ordering::Relaxed);
            Ok(guard)
        } else {
            Err(NotAdmitted::Out)
        }
    }

    /// Told when a request has ended that may have kept others waiting.
    pub fn freed(&self) -> &Notify {
        &self.freed
    }

    /// How fast it answers, and since when it serves.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Whether new requests are taken.
    pub fn is_admitting(&self) -> bool {
        self.admitting.load(Ordering::Relaxed)
    }

    /// Its connections that are kept for a further request.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Keeps a connection for a further request, for as long as requests are taken.
    pub fn keep(&self, link: Box<Link>) {
        if self.is_admitting() {
            self.kept.put(link);
        }
        fence(Ordering::SeqCst);
        // Whoever lowers the flag closes them then; one that came later is closed here.
        if !self.is_admitting() {
            self.kept.close();
        }
    }

    /// Follows the desired state; called when a snapshot that holds the backend is published.
    pub(super) fn set_admitting(&self, admitting: bool) {
        if !self.admitting.swap(admitting, Ordering::SeqCst) && admitting {
            self.pace.begins_to_serve();
        }
        fence(Ordering::SeqCst);
        if admitting {
            self.departure.come_back();
        } else {
            self.departure.leave();
            self.kept.close();
        }
    }

    /// Whether it was left by those who run here: it takes no new requests any more.
    pub fn departure(&self) -> &Departure {
        &self.departure
    }

    /// Its requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// Requests that were sent to it since the server started, retries included.
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// Failed tries since the server started.
    pub fn failures(&self) -> u64 {
        UpstreamFailure::all().map(|failure| self.failures_of(failure)).sum()
    }

    /// Tries that failed in this way since the server started.
    pub fn failures_of(&self, failure: UpstreamFailure) -> u64 {
        self.counts.failures[failure as usize].load(Ordering::Relaxed)
    }

    /// Requests that it had, by what became of them; how long each took is until its answer began.
    pub fn traffic(&self) -> &Traffic {
        &self.counts.traffic
    }

    /// Where the backend can be reached now.
    pub fn endpoints(&self) -> arc_swap::Guard<Arc<Endpoints>> {
        self.endpoints.load()
    }

    /// Replaces the resolved addresses.
    pub fn set_endpoints(&self, endpoints: Endpoints) {
        self.endpoints.store(Arc::new(endpoints));
    }

    /// The verdict on its health.
    pub fn health(&self) -> HealthStatus {
        const HEALTHY: u8 = HealthStatus::Healthy as u8;
        const UNHEALTHY: u8 = HealthStatus::Unhealthy as u8;
        match self.status.load(Ordering::Relaxed) {
            HEALTHY => HealthStatus::Healthy,
            UNHEALTHY => HealthStatus::Unhealthy,
            _ => HealthStatus::Unknown,
        }
    }

    /// The verdict with its reasons.
    pub fn health_report(&self) -> HealthReport {
        HealthReport::clone(&self.report.load())
    }

    /// Publishes what a probe, or traffic, led to.
    pub fn set_health_report(&self, report: HealthReport) {
        let now = report.status as u8;
        if self.status.swap(now, Ordering::Relaxed) != now {
            if report.status == HealthStatus::Healthy {
                self.pace.begins_to_serve();
            }
            self.counts.transitions[usize::from(now)].fetch_add(1, Ordering::Relaxed);
        }
        self.report.store(Arc::new(report));
    }

    /// How often the verdict became this one since the server started.
    pub fn transitions_to(&self, status: HealthStatus) -> u64 {
        self.counts.transitions[status as usize].load(Ordering::Relaxed)
    }

    /// Notes that traffic failed here, and wakes the health room. `reason` is only built for the
    /// first failure of a row.
    pub fn note_failure(&self, failure: UpstreamFailure, reason: impl FnOnce() -> String) {
        self.counts.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
        if row_length(self.passive_row.fetch_add(1, Ordering::Relaxed)) == 0 {
            self.passive_reason.store(Some(Arc::new(reason())));
        }
        self.passive_noted.notify_one();
    }

    /// Notes that traffic succeeded here: failures before and after are not in a row.
    pub fn note_success(&self) {
        // A plain load first: in good times the cache line stays shared.
        let mut row = self.passive_row.load(Ordering::Relaxed);
        while row_length(row) != 0 {
            let next = (row | u64::from(u32::MAX)).wrapping_add(1);
            match self.passive_row.compare_exchange_weak(
                row,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => row = now,
            }
        }
    }

    /// How many passive failures in a row there are so far, with the reason of the first; `None` if the last
    /// call returned them all.
    pub fn take_passive_failures(&self) -> Option<(usize, Arc<String>)> {
        let row = self.passive_row.load(Ordering::Relaxed);
        let taken = self.passive_taken.swap(row, Ordering::Relaxed);
        let failures = row_length(row);
        (row != taken && failures > 0)
            .then(|| (failures, self.passive_reason.load_full().unwrap_or_default()))
    }

    /// Failures of traffic in a row, so far.
    pub fn passive_failures(&self) -> usize {
        row_length(self.passive_row.load(Ordering::Relaxed))
    }

    /// Failures of traffic in a row, so far, and why the first failed: for a successor.
    pub fn passive_row(&self) -> (u32, String) {
        let failures = u32::try_from(self.passive_failures()).unwrap_or(u32::MAX);
        let reason = self.passive_reason.load_full().filter(|_| failures > 0);
        (failures, reason.map(|reason| reason.to_string()).unwrap_or_default())
    }

    /// Goes on with a row of failures of the process before. They were taken there.
    pub fn resume_passive_row(&self, failures: u32, reason: &str) {
        self.passive_reason.store((failures > 0).then(|| Arc::new(reason.to_owned())));
        self.passive_row.store(u64::from(failures), Ordering::Relaxed);
        self.passive_taken.store(u64::from(failures), Ordering::Relaxed);
    }

    /// Waits until traffic has failed here since the last wait. One task at a time waits.
    pub async fn passive_failure_noted(&self) {
        self.passive_noted.notified().await;
    }
}

fn row_length(row: u64) -> usize {
    usize::try_from(row & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_drains_admits_nobody() {
        let address = "127.0.0.1:1".parse().unwrap();
        let live = BackendLive::new(&address, BackendState::Ready);
        let guard = live.admit(None).expect("ready backends admit");
        live.set_admitting(false);
        assert!(live.admit(None).is_err());
        assert_eq!(live.in_flight(), 1, "the refused request does not count");
        drop(guard);
        assert_eq!(live.in_flight(), 0);
    }

    #[test]
    fn failures_with_a_success_between_are_not_in_a_row() {
        let live = BackendLive::new(&"127.0.0.1:1".parse().unwrap(), BackendState::Ready);
        let taken =
            |live: &BackendLive| live.take_passive_failures().map(|(n, why)| (n, why.to_string()));
        assert_eq!(taken(&live), None);
        live.note_failure(UpstreamFailure::ConnectRefused, || "refused".into());
        assert_eq!(taken(&live), Some((1, "refused".into())));
        assert_eq!(taken(&live), None, "taken once");
        live.note_success();
        live.note_failure(UpstreamFailure::Timeout, || "timed out".into());
        assert_eq!(taken(&live), Some((1, "timed out".into())), "another row of the same length");
        live.note_failure(UpstreamFailure::Timeout, || panic!("only the first failure says why"));
        assert_eq!(taken(&live), Some((2, "timed out".into())), "the row goes on");
        live.note_success();
        assert_eq!(live.passive_failures(), 0);
        assert_eq!(taken(&live), None);
    }

    #[test]
    fn a_row_goes_on_in_a_successor_and_is_not_taken_twice() {
        let address = "127.0.0.1:1".parse().unwrap();
        let before = BackendLive::new(&address, BackendState::Ready);
        assert_eq!(before.passive_row(), (0, String::new()));
        before.note_failure(UpstreamFailure::ConnectRefused, || "refused".into());
        before.note_failure(UpstreamFailure::ConnectRefused, || "refused".into());
        let (failures, reason) = before.passive_row();
        let after = BackendLive::new(&address, BackendState::Ready);
        after.resume_passive_row(failures, &reason);
        assert_eq!((after.passive_failures(), after.take_passive_failures()), (2, None));
        after.note_failure(UpstreamFailure::Timeout, || panic!("only the first failure says why"));
        let taken = after.take_passive_failures().map(|(n, why)| (n, why.to_string()));
        assert_eq!(taken, Some((3, "refused".into())));
        after.note_success();
        assert_eq!(after.passive_row(), (0, String::new()));
    }

    #[tokio::test]
    async fn a_failure_before_the_wait_is_not_missed() {
        let live = BackendLive::new(&"127.0.0.1:1".parse().unwrap(), BackendState::Ready);
        live.note_failure(UpstreamFailure::Closed, String::new);
        live.passive_failure_noted().await;
    }
}
