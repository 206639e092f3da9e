//! Counts without their times.

use std::array;

use crate::model::StatusClass;
use crate::state::TrafficCounts;

/// Counts of requests, without their durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests that have ended.
    pub requests: u64,
    /// Those that failed at the server's side.
    pub errors: u64,
    /// Those that backends failed.
    pub faults: u64,
    /// Bytes of request bodies.
    pub received_bytes: u64,
    /// Bytes of response bodies.
    pub sent_bytes: u64,
    /// Requests that were sent again, each time counted.
    pub retries: u64,
    /// Requests by the class of their status, in the order of [`StatusClass::ALL`].
    pub classes: [u64; StatusClass::ALL.len()],
}

impl Counters {
    pub(super) fn read(counts: &TrafficCounts) -> Self {
        let classes = StatusClass::ALL.map(|class| counts.requests_of(class));
        Self {
            requests: classes.iter().sum(),
            errors: counts.errors(),
            faults: counts.faults(),
            received_bytes: counts.received(),
            sent_bytes: counts.sent(),
            retries: counts.retries(),
            classes,
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.errors += more.errors;
        self.faults += more.faults;
        self.received_bytes += more.received_bytes;
        self.sent_bytes += more.sent_bytes;
        self.retries += more.retries;
        for (sum, more) in self.classes.iter_mut().zip(more.classes) {
            *sum += more;
        }
    }

    /// The difference from `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            errors: self.errors.saturating_sub(before.errors),
            faults: self.faults.saturating_sub(before.faults),
            received_bytes: self.received_bytes.saturating_sub(before.received_bytes),
            sent_bytes: self.sent_bytes.saturating_sub(before.sent_bytes),
            retries: self.retries.saturating_sub(before.retries),
            classes: array::from_fn(|at| self.classes[at].saturating_sub(before.classes[at])),
        }
    }
}
