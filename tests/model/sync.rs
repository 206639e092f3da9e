//! Loom's primitives under the names that `src/sync.rs` has.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use loom::sync::atomic::Ordering;
pub use loom::sync::atomic::{AtomicBool, AtomicUsize, fence};

/// What `arc_swap::ArcSwap` promises, and no more: a load acquires what the store that it reads has released, and whoever holds
/// what was loaded keeps its address from being used again.
#[derive(Debug)]
pub struct ArcSwap<T> {
    current: AtomicUsize,
    /// Every value that there ever was, so that no address comes twice.
    values: Mutex<Vec<Arc<T>>>,
}

pub struct Guard<T>(Arc<T>);

impl<T> Deref for Guard<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

impl<T> ArcSwap<T> {
    pub fn from_pointee(value: T) -> Self {
        let values = Mutex::new(vec![Arc::new(value)]);
        Self { current: AtomicUsize::new(0), values }
    }

    pub fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }

    pub fn load_full(&self) -> Arc<T> {
        let current = self.current.load(Ordering::Acquire);
        Arc::clone(&self.values.lock().unwrap()[current])
    }

    pub fn store(&self, value: Arc<T>) {
        let mut values = self.values.lock().unwrap();
        let place = values.len();
        values.push(value);
        // Loom may run another thread at an atomic step.
        drop(values);
        self.current.swap(place, Ordering::AcqRel);
    }
}
