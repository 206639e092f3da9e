//! Where the buckets of a rate limit are, so that others than the limiter can look into them: who hands them to a successor.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::nanos::Nanos;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{InMemoryState, NotKeyed, StateStore};

/// A store that its limiter shares with others.
#[derive(Debug)]
pub(super) struct RateStore<S> {
    store: Arc<S>,
    /// What the times in it count from: when the limiter was made.
    started: Instant,
}

impl<S> Clone for RateStore<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), started: self.started }
    }
}

impl<S: Default> RateStore<S> {
    pub(super) fn new() -> Self {
        Self { store: Arc::default(), started: Instant::now() }
    }
}

impl<S> RateStore<S> {
    /// How long it takes until a bucket is full again.
    fn full_in(&self, bucket: &InMemoryState) -> Duration {
        let read = bucket.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>);
        let at = read.err().flatten().map_or(0, Nanos::as_u64);
        Duration::from_nanos(at).saturating_sub(self.started.elapsed())
    }

    /// Has a bucket take so long until it is full again.
    fn set(&self, bucket: &InMemoryState, full_in: Duration) {
        let at = Nanos::from(self.started.elapsed() + full_in);
        let _ = bucket.measure_and_replace(&NotKeyed::NonKey, |_| Ok::<_, ()>(((), at)));
    }
}

impl RateStore<InMemoryState> {
    /// How long it takes until the one bucket is full again.
    pub(super) fn used(&self) -> Duration {
        self.full_in(&self.store)
    }

    /// Has the one bucket take so long until it is full again.
    pub(super) fn resume(&self, full_in: Duration) {
        self.set(&self.store, full_in);
    }
}

impl RateStore<DashMapStateStore<u128>> {
    /// Calls back with each bucket that is not full, and how long it takes until it is.
    pub(super) fn each_used(&self, mut with: impl FnMut(u128, Duration)) {
        for entry in self.store.iter() {
            let full_in = self.full_in(entry.value());
            if !full_in.is_zero() {
                with(*entry.key(), full_in);
            }
        }
    }

    /// Has a bucket take so long until it is full again.
    pub(super) fn resume_one(&self, client: u128, full_in: Duration) {
        self.set(&self.store.entry(client).or_default(), full_in);
    }
}

impl<S: StateStore> StateStore for RateStore<S> {
    type Key = S::Key;

    fn measure_and_replace<T, F, E>(&self, key: &Self::Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.store.measure_and_replace(key, f)
    }
}

impl<K: Hash + Eq + Clone, S: ShrinkableKeyedStateStore<K>> ShrinkableKeyedStateStore<K>
    for RateStore<S>
{
    fn retain_recent(&self, drop_below: Nanos) {
        self.store.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.store.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.store.len()
    }

    fn is_empty(&self) -> bool {
        self.store.is_empty()
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
