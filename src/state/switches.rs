//! How the switches of a domain ended.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::SwitchEnd;

/// The switches of one domain, by how they ended. Takes no room to speak of until the first: most of
/// a hundred thousand domains never move.
#[derive(Debug, Default)]
pub struct Switches(OnceLock<Box<[AtomicU64; SwitchEnd::ALL.len()]>>);

impl Switches {
    /// Counts one that has ended.
    pub fn count(&self, end: SwitchEnd) {
        self.0.get_or_init(Box::default)[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were of each, in the order of [`SwitchEnd::ALL`]; nothing before the first.
    pub fn counts(&self) -> Option<[u64; SwitchEnd::ALL.len()]> {
        let counts = self.0.get()?;
        Some(std::array::from_fn(|end| counts[end].load(Ordering::Relaxed)))
    }
}
