//! Bytes that are held for somebody: how many there are, and how many there may be.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A count of bytes with a limit. It only counts: whoever would hold more asks first, and holds what
/// must be held whatever the answer is.
#[derive(Debug)]
pub(crate) struct BytePool {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for BytePool {
    /// One without a limit.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl BytePool {
    /// A pool of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    /// How many are held.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How many may be held.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes how many may be held from now on.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether `bytes` more fit. Two who ask at once may both get the same room: what is too much then
    /// is a piece for each thread.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit()
    }

    /// Counts `bytes` more.
    pub(crate) fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` less, which were counted before.
    pub(crate) fn remove(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_said_and_what_does_not_is_counted_all_the_same() {
        let pool = BytePool::new(10);
        assert!(pool.fits(10) && !pool.fits(11));
        pool.add(12);
        assert!(!pool.fits(0));
        pool.remove(4);
        assert!(pool.fits(2) && !pool.fits(3));
        pool.set_limit(20);
        assert!(pool.fits(12));
        assert!(BytePool::default().fits(usize::MAX));
    }
}
