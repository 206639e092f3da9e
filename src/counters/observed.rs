//! What is observed of a version on trial: how its requests ended, by the networks that they came from.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Latency;
use crate::clock::whole_micros;
use crate::stable_hash::keyed_hash;

/// How many cells the networks are dealt out to. Those of one cell count as one.
pub(crate) const CELLS: usize = 256;

/// Of a failed row: who failed is kept as bits of their networks.
const ROW_BITS: u64 = 64;

/// One request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The network that it came from, as a number.
    pub network: u64,
    /// Whether a backend has failed it.
    pub failed: bool,
    /// How long it took until the answer began; nothing where none did.
    pub first_byte: Option<Duration>,
}

/// How the requests of one version ended. Writers never wait for each other, nor for readers. It has the same size
/// whoever sends requests.
#[derive(Debug)]
pub struct Observed {
    /// Nobody can choose whose cell is theirs.
    seed: u64,
    cells: Box<[Cell; CELLS]>,
    first_byte: Latency,
    /// From more than which time to the first byte on a request is slow, in microseconds; the largest number until that is
    /// known.
    slow_micros: AtomicU64,
    /// The networks of the requests that failed since the last that did not, as bits.
    row: AtomicU64,
}

#[derive(Debug, Default)]
struct Cell {
    requests: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
}

/// What came of the requests of the networks of one cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CellCounts {
    /// All of them.
    pub requests: u64,
    /// Those that a backend failed.
    pub failures: u64,
    /// Those that were slow.
    pub slow: u64,
}

impl Observed {
    /// Two with the same seed have each network in the same cell.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            cells: Box::new(array::from_fn(|_| Cell::default())),
            first_byte: Latency::default(),
            slow_micros: AtomicU64::new(u64::MAX),
            row: AtomicU64::new(0),
        }
    }

    /// The cell of a network.
    pub fn cell_of(&self, network: u64) -> usize {
        usize::try_from(self.hash_of(network)).unwrap_or_default() % CELLS
    }

    fn hash_of(&self, network: u64) -> u64 {
        keyed_hash(self.seed, &network.to_ne_bytes())
    }

    /// Counts a request.
    pub fn count(&self, sample: Sample) {
        let hash = self.hash_of(sample.network);
        let cell = &self.cells[usize::try_from(hash).unwrap_or_default() % CELLS];
        let one = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        one(&cell.requests);
        if sample.failed {
            one(&cell.failures);
            self.row.fetch_or(1 << ((hash >> 32) % ROW_BITS), Ordering::Relaxed);
        } else if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
        if let Some(first_byte) = sample.first_byte {
            self.first_byte.count(first_byte);
            let slow = self.slow_micros.load(Ordering::Relaxed);
            if whole_micros(first_byte) > slow {
                one(&cell.slow);
            }
        }
    }

    /// From more than which time to the first byte on a request is slow. What came before is not looked at again.
    pub fn set_slow(&self, micros: u64) {
        self.slow_micros.store(micros, Ordering::Relaxed);
    }

    /// That time, where it is known.
    pub fn slow(&self) -> Option<u64> {
        Some(self.slow_micros.load(Ordering::Relaxed)).filter(|micros| *micros != u64::MAX)
    }

    /// What came of the requests, by cells.
    pub fn cells(&self) -> [CellCounts; CELLS] {
        array::from_fn(|at| CellCounts {
            requests: self.cells[at].requests.load(Ordering::Relaxed),
            failures: self.cells[at].failures.load(Ordering::Relaxed),
            slow: self.cells[at].slow.load(Ordering::Relaxed),
        })
    }

    /// The times to the first byte.
    pub fn first_byte(&self) -> &Latency {
        &self.first_byte
    }

    /// From how many different networks, at least, requests have failed since the last that did not.
    pub fn failed_in_a_row(&self) -> u32 {
        self.row.load(Ordering::Relaxed).count_ones()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(network: u64, failed: bool, millis: Option<u64>) -> Sample {
        Sample { network, failed, first_byte: millis.map(Duration::from_millis) }
    }

    #[test]
    fn requests_are_counted_by_network() {
        let observed = Observed::new(7);
        for _ in 0..3 {
            observed.count(sample(1, false, Some(10)));
        }
        observed.count(sample(1, true, None));
        let counts = CellCounts { requests: 4, failures: 1, slow: 0 };
        assert_eq!(observed.cells()[observed.cell_of(1)], counts);
        observed.set_slow(19_999);
        observed.count(sample(1, false, Some(10)));
        observed.count(sample(1, false, Some(20)));
        let counts = CellCounts { requests: 6, failures: 1, slow: 1 };
        assert_eq!(observed.cells()[observed.cell_of(1)], counts);
        assert_eq!(observed.first_byte().cells().total(), 5);
        let all: u64 = observed.cells().iter().map(|cell| cell.requests).sum();
        assert_eq!(all, 6);
    }

    #[test]
    fn failures_in_a_row_are_those_of_different_networks() {
        let observed = Observed::new(7);
        for _ in 0..100 {
            observed.count(sample(1, true, None));
        }
        assert_eq!(observed.failed_in_a_row(), 1);
        for network in 0..1_000 {
            observed.count(sample(network, true, None));
        }
        assert!(observed.failed_in_a_row() > 50);
        observed.count(sample(7, false, None));
        assert_eq!(observed.failed_in_a_row(), 0);
    }
}
