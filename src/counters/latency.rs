//! How long things took, counted finely enough that a quantile is true within two per cent.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::whole_micros;

/// Each power of two is cut into this many cells, so a cell is no wider than 1/32 of what it holds.
const CELLS_BITS: u32 = 5;
const CELLS_EACH: usize = 1 << CELLS_BITS;

/// Powers of two that have cells of their own, in microseconds: the last ends after 134 s.
const LAST_POWER: u32 = 26;

/// Cells of a [`Latency`].
const CELLS: usize = CELLS_EACH * (LAST_POWER - CELLS_BITS + 2) as usize;

/// The upper bounds of the buckets for Prometheus, in microseconds: 0.5 ms to 30 s.
pub(crate) const BUCKETS_MICROS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Durations that were counted. Writers never wait for each other, nor for readers.
#[derive(Debug)]
pub struct Latency {
    /// By [`BUCKETS_MICROS`], and what is longer than all of them.
    buckets: [AtomicU64; BUCKETS_MICROS.len() + 1],
    sum_micros: AtomicU64,
    cells: [AtomicU64; CELLS],
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum_micros: AtomicU64::new(0),
            cells: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Latency {
    /// Counts one.
    pub fn count(&self, took: Duration) {
        let micros = whole_micros(took);
        let bucket = BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.cells[cell_of(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many took longer than the bucket before and no longer than this one, by
    /// [`BUCKETS_MICROS`]; the last is of what is longer than all of them.
    pub fn buckets(&self) -> [u64; BUCKETS_MICROS.len() + 1] {
        array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed))
    }

    /// All of them, added up.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros.load(Ordering::Relaxed))
    }

    /// What quantiles are read off.
    pub fn cells(&self) -> LatencyCells {
        LatencyCells(self.cells.iter().map(|cell| cell.load(Ordering::Relaxed)).collect())
    }
}

/// Durations, counted by length. Those of two times can be added, and taken from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyCells(Box<[u64]>);

impl Default for LatencyCells {
    fn default() -> Self {
        Self(vec![0; CELLS].into())
    }
}

impl LatencyCells {
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        for (cell, more) in self.0.iter_mut().zip(&other.0) {
            *cell += more;
        }
    }

    /// Those that came after `before` was read off the same [`Latency`].
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().zip(&before.0).map(|(now, was)| now.saturating_sub(*was)).collect())
    }

    /// How many have each length, with the longest duration of it, in microseconds; the last is of what is longer
    /// than all of them.
    pub fn histogram(&self) -> (Vec<u64>, &[u64]) {
        let longest = |cell| {
            let (first, width) = bounds_of(cell);
            first + width - 1
        };
        ((0..CELLS - 1).map(longest).collect(), &self.0)
    }

    /// The duration that a share of them, 0 to 1, does not exceed: the middle of its cell. Nothing
    /// where there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total = self.total();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a rank that is off by one in 2^53 is as good"
        )]
        let rank = ((total as f64 * share).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        let cell = self.0.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        let (first, width) = bounds_of(cell);
        Some(Duration::from_nanos(first * 1_000 + (width - 1) * 500))
    }
}

impl LatencyCells {
    /// The same with room only for the lengths that occur, to be kept.
    pub fn packed(&self) -> PackedCells {
        let cells = (0..).zip(&self.0).filter(|(_, count)| **count > 0);
        PackedCells(cells.map(|(cell, count)| (cell, *count)).collect())
    }

    /// Adds those of `other`.
    pub fn add_packed(&mut self, other: &PackedCells) {
        for (cell, more) in &other.0 {
            self.0[usize::from(*cell)] += more;
        }
    }

    /// Those that came after `before` was read off the same [`Latency`].
    #[must_use]
    pub fn since_packed(mut self, before: &PackedCells) -> Self {
        for (cell, was) in &before.0 {
            let cell = &mut self.0[usize::from(*cell)];
            *cell = cell.saturating_sub(*was);
        }
        self
    }
}

/// As [`LatencyCells`], without those of no duration: a few lengths take a few bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedCells(Box<[(u16, u64)]>);

impl PackedCells {
    /// With these counts of cells; those of no cell are left out.
    pub fn of(counts: &[(u16, u64)]) -> Self {
        Self(counts.iter().copied().filter(|(cell, _)| usize::from(*cell) < CELLS).collect())
    }

    /// The cells that have any, with their counts.
    pub fn counts(&self) -> &[(u16, u64)] {
        &self.0
    }

    /// How many durations there are.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

/// The cell of a duration.
fn cell_of(micros: u64) -> usize {
    let power = micros.max(1).ilog2();
    let cell = if power < CELLS_BITS {
        micros
    } else {
        let shift = power - CELLS_BITS;
        // The bits behind the first one say which cell of the power it is.
        (u64::from(shift) << CELLS_BITS) + (micros >> shift)
    };
    usize::try_from(cell).unwrap_or(CELLS).min(CELLS - 1)
}

/// The shortest duration of a cell, and how many microseconds it spans.
fn bounds_of(cell: usize) -> (u64, u64) {
    let cell = cell as u64;
    let each = CELLS_EACH as u64;
    match (cell / each).checked_sub(1) {
        None => (cell, 1),
        Some(shift) => ((each + cell % each) << shift, 1 << shift),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_follow_each_other_without_a_gap() {
        let mut next = 0;
        for cell in 0..CELLS {
            let (first, width) = bounds_of(cell);
            assert_eq!(first, next, "cell {cell}");
            assert_eq!(cell_of(first), cell);
            assert_eq!(cell_of(first + width - 1), cell);
            next = first + width;
        }
        assert_eq!(cell_of(next), CELLS - 1, "what is longer is in the last");
        assert_eq!(cell_of(u64::MAX), CELLS - 1);
    }

    #[test]
    fn buckets_hold_what_is_no_longer_than_their_bound() {
        let latency = Latency::default();
        for micros in [500, 501, 30_000_000, 30_000_001] {
            latency.count(Duration::from_micros(micros));
        }
        let buckets = latency.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[14], buckets[15]), (1, 1, 1, 1));
        assert_eq!(latency.sum(), Duration::from_micros(60_001_002));
    }

    #[test]
    fn what_came_between_two_looks_has_quantiles_of_its_own() {
        let latency = Latency::default();
        latency.count(Duration::from_secs(1));
        let before = latency.cells();
        assert_eq!(before.since(&before).quantile(0.5), None);
        latency.count(Duration::from_millis(10));
        let between = latency.cells().since(&before);
        assert_eq!(between.total(), 1);
        let median = between.quantile(0.5).unwrap();
        assert!(median.abs_diff(Duration::from_millis(10)) < Duration::from_micros(200));
        let mut both = before;
        both.add(&between);
        assert_eq!(both, latency.cells());
    }

    #[test]
    fn packed_cells_hold_the_same() {
        let latency = Latency::default();
        latency.count(Duration::from_secs(1));
        let before = latency.cells();
        latency.count(Duration::from_millis(10));
        latency.count(Duration::from_millis(10));
        let between = latency.cells().since_packed(&before.packed());
        assert_eq!(between, latency.cells().since(&before));
        assert_eq!((between.packed().total(), between.packed().0.len()), (2, 1));
        let mut both = before;
        both.add_packed(&between.packed());
        assert_eq!(both, latency.cells());
    }

    proptest! {
        #[test]
        fn quantiles_are_true_within_two_per_cent(
            mut micros in prop::collection::vec(40..130_000_000_u64, 1..300),
            share in 0.0..=1.0_f64,
        ) {
            let latency = Latency::default();
            for micros in &micros {
                latency.count(Duration::from_micros(*micros));
            }
            micros.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
            let rank = ((micros.len() as f64 * share).ceil() as usize).max(1);
            let exact = Duration::from_micros(micros[rank - 1]);
            let told = latency.cells().quantile(share).unwrap();
            prop_assert!(told.abs_diff(exact) <= exact / 50, "{told:?} for {exact:?}");
        }
    }
}
