//! What is counted of the deliveries to those who are notified of events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

/// The counts of one target.
#[derive(Debug, Default)]
pub(crate) struct NotifyCounts {
    /// Events that it got.
    pub delivered: AtomicU64,
    /// Tries that failed.
    pub failed: AtomicU64,
    /// Events that it never gets.
    pub dropped: AtomicU64,
    /// Events that it has not got yet.
    pub waiting: AtomicU64,
}

/// The counts of all targets, by name.
#[derive(Debug, Default)]
pub(crate) struct NotifyTargets(Mutex<BTreeMap<String, Arc<NotifyCounts>>>);

impl NotifyTargets {
    /// Those of a target, which is new where there are none.
    pub(crate) fn of(&self, name: &str) -> Arc<NotifyCounts> {
        Arc::clone(self.0.lock().entry(name.to_owned()).or_default())
    }

    /// Forgets a target.
    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().remove(name);
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(String, Arc<NotifyCounts>)> {
        self.0.lock().iter().map(|(name, counts)| (name.clone(), Arc::clone(counts))).collect()
    }
}
