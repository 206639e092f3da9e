//! Loads: programs that people know where they do, and own code where they don't.

pub(crate) mod h2load;
pub(crate) mod handshakes;
pub(crate) mod idle;
pub(crate) mod paced;
pub(crate) mod unread;
pub(crate) mod web_socket;
pub(crate) mod wrk;

use std::time::Duration;

use crate::common::figures::millis;

/// What a load has seen.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Requests that were answered, or whatever else was done.
    pub(crate) count: usize,
    pub(crate) took: Duration,
    pub(crate) latency: Latency,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Latency {
    pub(crate) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |per_mille: usize| {
            let index = (took.len() * per_mille / 1000).min(took.len().saturating_sub(1));
            took.get(index).copied().map_or(0.0, millis)
        };
        Self { p50: at(500), p99: at(990), p999: at(999) }
    }
}
