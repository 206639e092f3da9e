//! What is under way: counted from its beginning until the guard that counts it is dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Departure;
use crate::sync::AtomicUsize;

/// A number of requests that have begun and not ended.
#[derive(Debug, Default)]
pub struct InFlight {
    requests: AtomicUsize,
    web_sockets: AtomicUsize,
    departure: Departure,
}

impl InFlight {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// How many of them have become WebSockets.
    pub fn web_sockets(&self) -> usize {
        self.web_sockets.load(Ordering::Relaxed)
    }

    /// Whether what they run on was left.
    pub fn departure(&self) -> &Departure {
        &self.departure
    }

    /// Counts one more, until the guard is dropped, unless there are `most` already.
    pub fn try_enter(self: &Arc<Self>, most: usize) -> Option<InFlightGuard> {
        let one_more = |count| (count < most).then_some(count + 1);
        self.requests.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        Some(InFlightGuard { among: Arc::clone(self), is_web_socket: false })
    }

    /// Counts one more, until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlightGuard {
        self.requests.fetch_add(1, Ordering::SeqCst);
        InFlightGuard { among: Arc::clone(self), is_web_socket: false }
    }
}

/// Keeps one request counted. It is `Drop` that ends the count, so a request that was aborted or
/// panicked is not in flight for ever.
#[derive(Debug)]
pub struct InFlightGuard {
    among: Arc<InFlight>,
    is_web_socket: bool,
}

impl InFlightGuard {
    /// What counts it.
    pub fn among(&self) -> &Arc<InFlight> {
        &self.among
    }

    /// The request has become a WebSocket.
    pub fn becomes_web_socket(&mut self) {
        if !self.is_web_socket {
            self.is_web_socket = true;
            self.among.web_sockets.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.is_web_socket {
            self.among.web_sockets.fetch_sub(1, Ordering::Relaxed);
        }
        self.among.requests.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_that_is_dropped_without_ceremony_ends_the_count() {
        let in_flight = Arc::new(InFlight::default());
        let guard = in_flight.enter();
        assert_eq!(in_flight.count(), 1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _guard = guard;
            panic!("a hook panics");
        }));
        assert!(panicked.is_err());
        assert_eq!(in_flight.count(), 0);
    }
}
