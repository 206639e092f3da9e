//! Whether nearly all requests come from one network: a proxy in front, or the one caller of a service.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many networks are remembered.
const PLACES: usize = 64;

/// Of how many requests one is remembered.
const EACH: u64 = 8;

/// The networks of some of the last requests, as numbers. A number costs one write for each eighth request.
#[derive(Debug)]
pub(super) struct Networks([AtomicU64; PLACES]);

impl Default for Networks {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Networks {
    /// Remembers the network of a request now and then; `before` is how many came before it.
    pub(super) fn sample(&self, before: u64, network: impl FnOnce() -> u64) {
        if before.is_multiple_of(EACH) {
            let place = usize::try_from(before / EACH).unwrap_or_default() % PLACES;
            // Nothing stands for a place that is free.
            self.0[place].store(network().max(1), Ordering::Relaxed);
        }
    }

    /// The network of nineteen of twenty of them, where there is such a one.
    pub(super) fn sole(&self) -> Option<u64> {
        let mut seen: Vec<u64> = self.0.iter().map(|place| place.load(Ordering::Relaxed)).collect();
        seen.retain(|network| *network != 0);
        seen.sort_unstable();
        let most = seen.chunk_by(|one, other| one == other).max_by_key(|same| same.len())?;
        (most.len() * 20 >= seen.len() * 19).then(|| most[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_the_only_one_where_nearly_all_come_from_it() {
        let networks = Networks::default();
        assert_eq!(networks.sole(), None);
        for before in 0..1_000 {
            networks.sample(before, || 7);
        }
        assert_eq!(networks.sole(), Some(7));
        for before in 1_000..1_024 {
            networks.sample(before, || 8);
        }
        assert_eq!(networks.sole(), Some(7), "three of sixty-four");
        networks.sample(1_024, || 9);
        assert_eq!(networks.sole(), None);
    }
}
