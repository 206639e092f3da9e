//! What became of requests, counted where they went: by domain and tag, and by backend.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::networks::Networks;
use crate::counters::Latency;
use crate::model::StatusClass;

/// One request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The status that it was answered with; nothing where nobody was left to answer.
    pub status: Option<u16>,
    /// Whether the server's side failed: by that status, or by an answer that broke off.
    pub failed: bool,
    /// How long it took.
    pub took: Duration,
    /// The bytes of its body that came in.
    pub received: u64,
    /// The bytes of its answer's body that went out.
    pub sent: u64,
    /// How often it was sent again.
    pub retries: u64,
    /// Whether its backend has failed it.
    pub is_backends_fault: bool,
}

/// The requests of one domain on one tag, or of one backend. They never restart.
///
/// Takes no room to speak of until the first request: most of a hundred thousand domains have none.
#[derive(Debug, Default)]
pub struct Traffic(OnceLock<Box<TrafficCounts>>);

impl Traffic {
    /// Counts a request that has ended. `network` is the one that it came from, as a number.
    pub fn count(&self, ended: &Ended, network: impl FnOnce() -> u64) {
        let counts = self.0.get_or_init(Box::default);
        let class = StatusClass::of(ended.status);
        let before = counts.classes[class as usize].fetch_add(1, Ordering::Relaxed);
        counts.networks.sample(before, network);
        counts.latency.count(ended.took);
        for (counter, more) in [
            (&counts.errors, u64::from(ended.failed)),
            (&counts.faults, u64::from(ended.is_backends_fault)),
            (&counts.received, ended.received),
            (&counts.sent, ended.sent),
            (&counts.retries, ended.retries),
        ] {
            // Most requests have no body, no second try, and do not fail.
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    /// What was counted; nothing before the first request.
    pub fn counts(&self) -> Option<&TrafficCounts> {
        self.0.get().map(Box::as_ref)
    }
}

/// The counters of a [`Traffic`].
#[derive(Debug, Default)]
pub struct TrafficCounts {
    classes: [AtomicU64; StatusClass::ALL.len()],
    errors: AtomicU64,
    faults: AtomicU64,
    networks: Networks,
    latency: Latency,
    received: AtomicU64,
    sent: AtomicU64,
    retries: AtomicU64,
}

impl TrafficCounts {
    /// Requests that were answered with this class of status.
    pub fn requests_of(&self, class: StatusClass) -> u64 {
        self.classes[class as usize].load(Ordering::Relaxed)
    }

    /// Requests that have ended.
    pub fn requests(&self) -> u64 {
        StatusClass::ALL.into_iter().map(|class| self.requests_of(class)).sum()
    }

    /// Requests that failed on the server's side: with status 500 or above, or with an answer that broke off.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Requests that backends have failed.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// The network that nearly all of the last requests came from.
    pub fn sole_network(&self) -> Option<u64> {
        self.networks.sole()
    }

    /// How long they took.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Bytes of request bodies.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes of response bodies.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests that were sent again, each time counted.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_became_of_them() {
        let traffic = Traffic::default();
        assert!(traffic.counts().is_none());
        let ended = Ended {
            status: Some(200),
            failed: false,
            took: Duration::from_millis(1),
            received: 2,
            sent: 3,
            retries: 0,
            is_backends_fault: false,
        };
        traffic.count(&ended, || 1);
        let failed =
            Ended { status: Some(502), failed: true, retries: 2, is_backends_fault: true, ..ended };
        traffic.count(&failed, || 1);
        traffic.count(&Ended { status: None, ..ended }, || 1);
        let counts = traffic.counts().unwrap();
        assert_eq!((counts.requests(), counts.errors(), counts.faults()), (3, 1, 1));
        assert_eq!(counts.requests_of(StatusClass::Success), 1);
        assert_eq!((counts.received(), counts.sent(), counts.retries()), (6, 9, 2));
        assert_eq!(counts.latency().cells().total(), 3);
    }
}
