//! A place for one connection.

use crossbeam_utils::atomic::AtomicCell;

use super::Link;

/// A place for one connection that is kept, without a lock.
#[derive(Default)]
pub struct Slot(AtomicCell<Option<Box<Link>>>);

impl Slot {
    /// Keeps a connection; the one that was here is closed.
    pub fn put(&self, link: Box<Link>) {
        self.0.store(Some(link));
    }

    /// Takes what is here.
    pub fn take(&self) -> Option<Box<Link>> {
        self.0.take()
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
