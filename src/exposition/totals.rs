//! Counters as plain numbers, which can be added up.

use std::ops::AddAssign;

use crate::clock::whole_micros;
use crate::counters::{BUCKETS_MICROS, Latency};
use crate::model::StatusClass;
use crate::state::Traffic;

/// Durations by bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Durations {
    /// As [`Latency::buckets`].
    pub(super) buckets: [u64; BUCKETS_MICROS.len() + 1],
    /// All of them, added up.
    pub(super) micros: u64,
}

impl Durations {
    pub(super) fn of(latency: &Latency) -> Self {
        let micros = whole_micros(latency.sum());
        Self { buckets: latency.buckets(), micros }
    }
}

/// Bytes of bodies, and retries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) retries: u64,
}

impl Flow {
    pub(super) fn of(traffic: &Traffic) -> Self {
        traffic.counts().map_or_else(Self::default, |counts| Self {
            received: counts.received(),
            sent: counts.sent(),
            retries: counts.retries(),
        })
    }
}

impl AddAssign for Flow {
    fn add_assign(&mut self, more: Self) {
        self.received += more.received;
        self.sent += more.sent;
        self.retries += more.retries;
    }
}

/// Counts of requests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// In the order of [`StatusClass::ALL`].
    pub(super) classes: [u64; StatusClass::ALL.len()],
    pub(super) durations: Durations,
    pub(super) flow: Flow,
}

impl Totals {
    /// The counts; `None` before the first request.
    pub(super) fn of(traffic: &Traffic) -> Option<Self> {
        let counts = traffic.counts()?;
        Some(Self {
            classes: StatusClass::ALL.map(|class| counts.requests_of(class)),
            durations: Durations::of(counts.latency()),
            flow: Flow::of(traffic),
        })
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        add(&mut self.classes, more.classes);
        add(&mut self.durations.buckets, more.durations.buckets);
        self.durations.micros += more.durations.micros;
        self.flow += more.flow;
    }
}

/// Adds number by number.
pub(super) fn add<const N: usize>(to: &mut [u64; N], more: [u64; N]) {
    for (number, more) in to.iter_mut().zip(more) {
        *number += more;
    }
}

/// A count as a float, as Prometheus needs it.
#[expect(clippy::cast_precision_loss, reason = "what is off by one in 2^53 is as good")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
