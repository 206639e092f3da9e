//! Whether what requests run on was left: a tag by its domain, or a backend.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::clock::whole_micros;

/// Whether what requests run on was left, and when. Most requests never look: those that have no end of
/// their own may wait for it.
#[derive(Debug, Default)]
pub struct Departure {
    /// When, in microseconds after [`EPOCH`]; 0 while it is in use.
    left_at: AtomicU64,
    /// How much news there has been.
    version: AtomicU64,
    changed: Notify,
}

/// Before any departure.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Departure {
    /// It is left, unless it was before.
    pub fn leave(&self) {
        let now = whole_micros(EPOCH.elapsed()).max(1);
        let left = self.left_at.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        if left.is_ok() {
            self.announce();
        }
    }

    /// It is in use.
    pub fn come_back(&self) {
        if self.left_at.swap(0, Ordering::SeqCst) != 0 {
            self.announce();
        }
    }

    /// Wakes those who wait, to look again.
    pub fn announce(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Differs after any news. To look costs no more than to read it: who waits for news takes a lock.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// When it was left; `None` while it is in use.
    pub fn left_at(&self) -> Option<Instant> {
        match self.left_at.load(Ordering::SeqCst) {
            0 => None,
            micros => EPOCH.checked_add(Duration::from_micros(micros)),
        }
    }

    /// Waits for the next news; none that comes after this call is missed.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_waits_hears_of_each_change_and_of_nothing_else() {
        let departure = Departure::default();
        assert_eq!(departure.left_at(), None);
        let mut first = Box::pin(departure.changed());
        departure.come_back();
        assert!(first.as_mut().now_or_never().is_none(), "it was in use");
        let before = Instant::now();
        let version = departure.version();
        departure.leave();
        assert!(first.now_or_never().is_some() && departure.version() != version);
        let left_at = departure.left_at().expect("it was left");
        assert!(left_at + Duration::from_millis(1) > before);
        let second = departure.changed();
        departure.leave();
        assert_eq!(departure.left_at(), Some(left_at), "it was left before");
        assert!(second.now_or_never().is_none());
        let third = departure.changed();
        departure.come_back();
        assert!(third.now_or_never().is_some());
        assert_eq!(departure.left_at(), None);
    }
}
