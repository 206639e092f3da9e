//! What the server counts, beside the counters that hang on domains and backends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{BytePool, InFlight, Latency, NotifyTargets};
use crate::model::{Reason, ReloadEnd, TrialEnd, TrialKind};

/// Lines that no log has, because its output was too slow or could not be written.
#[derive(Debug, Clone, Default)]
pub struct DroppedLines {
    /// Of the log.
    pub log: Arc<AtomicU64>,
    /// Of the access log.
    pub access_log: Arc<AtomicU64>,
}

/// The server's own counters. They never restart while it runs.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Open client connections.
    pub connections: Arc<InFlight>,
    /// Connections on which a request is being read, answered, or both.
    pub busy: Arc<InFlight>,
    /// Open connections at the admin socket and to the management API.
    pub managers: Arc<InFlight>,
    /// Bytes of bodies that were received and have not gone on.
    pub buffered: Arc<BytePool>,
    /// Log lines that were dropped.
    pub dropped_lines: DroppedLines,
    /// How long switches took, from the command to the end of the drain.
    pub switch_durations: Latency,
    /// Deliveries to those who are notified of events.
    pub notified: NotifyTargets,
    stopping: AtomicBool,
    requests: AtomicU64,
    dropped_fields: AtomicU64,
    refused: Refused,
    reloads: [AtomicU64; ReloadEnd::ALL.len()],
    trial_ends: [[AtomicU64; TrialEnd::ALL.len()]; TrialKind::ALL.len()],
    netted: AtomicU64,
}

/// A counter for each reason.
#[derive(Debug)]
struct Refused([AtomicU64; Reason::COUNT]);

impl Default for Refused {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Metrics {
    /// The counters of a server whose logs drop lines into `dropped_lines`.
    pub(crate) fn new(dropped_lines: DroppedLines) -> Self {
        Self { dropped_lines, ..Self::default() }
    }

    /// Says that the server is stopping: from now on no connection is kept.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Counts a request that has ended.
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts fields of a request that no backend gets.
    pub(crate) fn count_dropped_fields(&self, count: u64) {
        self.dropped_fields.fetch_add(count, Ordering::Relaxed);
    }

    /// Fields of requests that no backend got.
    pub(crate) fn dropped_fields(&self) -> u64 {
        self.dropped_fields.load(Ordering::Relaxed)
    }

    /// Counts a request that was refused or failed.
    pub(crate) fn count_refused(&self, reason: Reason) {
        self.refused.0[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a reload of the config that has ended.
    pub(crate) fn count_reload(&self, end: ReloadEnd) {
        self.reloads[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Reloads of the config that ended so.
    pub(crate) fn reloads(&self, end: ReloadEnd) -> u64 {
        self.reloads[end as usize].load(Ordering::Relaxed)
    }

    /// Counts a rollout or a guard that has ended.
    pub(crate) fn count_trial_end(&self, kind: TrialKind, end: TrialEnd) {
        self.trial_ends[kind as usize][end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Rollouts or guards that ended so.
    pub(crate) fn trial_ends(&self, kind: TrialKind, end: TrialEnd) -> u64 {
        self.trial_ends[kind as usize][end as usize].load(Ordering::Relaxed)
    }

    /// Counts a request that the tag on trial has failed, and that the old tag gets.
    pub(crate) fn count_netted(&self) {
        self.netted.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that the old tag got because the one on trial has failed them.
    pub(crate) fn netted(&self) -> u64 {
        self.netted.load(Ordering::Relaxed)
    }

    /// Requests that have ended.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests refused or failed for this reason.
    pub(crate) fn refused_for(&self, reason: Reason) -> u64 {
        self.refused.0[reason.index()].load(Ordering::Relaxed)
    }

    /// Requests refused or failed, by the reasons that occurred.
    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        Reason::all()
            .map(|reason| (reason.to_string(), self.refused_for(reason)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let metrics = Metrics::default();
        for reason in Reason::all() {
            metrics.count_refused(reason);
        }
        assert_eq!(metrics.refused().len(), Reason::COUNT);
        assert!(metrics.refused().values().all(|count| *count == 1));
    }
}
