//! What each set of counters gained from tick to tick.

use std::collections::{HashMap, VecDeque};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::Counters;
use crate::counters::{LatencyCells, PackedCells};
use crate::state::{BackendLive, Traffic, TrafficCounts};

/// Ticks that are remembered.
pub(super) const TICKS: u64 = 12;

/// Who owns a set of counters, and keeps it alive.
pub(super) trait Owner: Clone {
    /// The counters.
    fn traffic(&self) -> &Traffic;
    /// Whether nobody else holds the counters, so that nobody can count any more.
    fn is_last(&self) -> bool;
}

impl Owner for Arc<Traffic> {
    fn traffic(&self) -> &Traffic {
        self
    }

    fn is_last(&self) -> bool {
        Arc::strong_count(self) == 1
    }
}

impl Owner for Arc<BackendLive> {
    fn traffic(&self) -> &Traffic {
        BackendLive::traffic(self)
    }

    fn is_last(&self) -> bool {
        Arc::strong_count(self) == 1
    }
}

/// What was gained in some time.
#[derive(Debug, Clone, Default)]
pub(super) struct Gain<Cells> {
    pub(super) counters: Counters,
    pub(super) cells: Cells,
}

/// One set of counters.
#[derive(Debug)]
struct Track<O> {
    owner: O,
    /// What the counters said at the last tick.
    mark: Gain<PackedCells>,
    /// What they gained in ticks in which they did, by the ticks' numbers.
    gains: VecDeque<(u64, Gain<PackedCells>)>,
    /// The last tick at which the published state had them.
    seen: u64,
}

impl<O: Owner> Track<O> {
    fn new(owner: O) -> Self {
        Self { owner, mark: Gain::default(), gains: VecDeque::new(), seen: 0 }
    }

    /// What came since the last tick.
    fn gain(&self) -> Option<Gain<LatencyCells>> {
        let counts = self.owner.traffic().counts()?;
        let counters = Counters::read(counts);
        // A request counts here and then there: whoever looks in between finds the rest next time.
        let is_same = counters == self.mark.counters
            && self.mark.cells.total() == self.mark.counters.requests;
        (!is_same).then(|| Gain {
            counters: counters.since(&self.mark.counters),
            cells: counts.latency().cells().since_packed(&self.mark.cells),
        })
    }

    /// Moves what came since the last tick into the memory.
    fn tick(&mut self, number: u64) -> Option<Gain<LatencyCells>> {
        while self.gains.front().is_some_and(|(tick, _)| tick + TICKS <= number) {
            self.gains.pop_front();
        }
        let gain = self.gain();
        if let Some(gain) = &gain {
            let cells = gain.cells.packed();
            let mut all = gain.cells.clone();
            all.add_packed(&self.mark.cells);
            self.mark.counters.add(&gain.counters);
            self.mark.cells = all.packed();
            self.gains.push_back((number, Gain { counters: gain.counters, cells }));
        } else if self.gains.is_empty() {
            self.gains = VecDeque::new();
        }
        gain
    }
}

/// The time that figures are of, in whole ticks and what came since the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// After the tick of this number.
    After(u64),
    /// All since the counters began.
    Start,
}

/// Sets of counters that have counted something.
#[derive(Debug)]
pub(super) struct Tracks<O>(HashMap<usize, Track<O>>);

impl<O> Default for Tracks<O> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<O: Owner> Tracks<O> {
    /// Remembers what the counters of `owners` gained, and forgets those of whom nobody can count any
    /// more. Tells each gain.
    pub(super) fn tick<'a>(
        &mut self,
        number: u64,
        owners: impl Iterator<Item = &'a O>,
        mut gained: impl FnMut(&Gain<LatencyCells>),
    ) where
        O: 'a,
    {
        for owner in owners.filter(|owner| owner.traffic().counts().is_some()) {
            let track = self.0.entry(key(owner)).or_insert_with(|| Track::new(O::clone(owner)));
            track.seen = number;
            track.tick(number).iter().for_each(&mut gained);
        }
        self.0.retain(|_, track| {
            if track.seen == number {
                return true;
            }
            // Requests that are still under way count where they began.
            let is_last = track.owner.is_last();
            fence(Ordering::Acquire);
            track.tick(number).iter().for_each(&mut gained);
            !is_last
        });
    }

    /// The counters, of one owner and a time, but not how long requests took.
    pub(super) fn counters(&self, owner: &O, reach: Reach) -> Counters {
        let mut sum = Counters::default();
        let Some(counts) = owner.traffic().counts() else { return sum };
        let now = Counters::read(counts);
        match (reach, self.0.get(&key(owner))) {
            (Reach::Start, _) | (_, None) => now,
            (Reach::After(tick), Some(track)) => {
                track.after(tick).for_each(|gain| sum.add(&gain.counters));
                sum.add(&now.since(&track.mark.counters));
                sum
            }
        }
    }

    /// Adds how long the requests of one owner took in a time.
    pub(super) fn add_cells(&self, owner: &O, reach: Reach, sum: &mut LatencyCells) {
        let Some(counts) = owner.traffic().counts() else { return };
        let now = || TrafficCounts::latency(counts).cells();
        match (reach, self.0.get(&key(owner))) {
            (Reach::Start, _) | (_, None) => sum.add(&now()),
            (Reach::After(tick), Some(track)) => {
                track.after(tick).for_each(|gain| sum.add_packed(&gain.cells));
                if let Some(gain) = track.gain() {
                    sum.add(&gain.cells);
                }
            }
        }
    }

    /// The requests of one owner in each of the ticks up to `last`, the oldest first.
    pub(super) fn add_requests(&self, owner: &O, last: u64, sums: &mut [u64]) {
        let gains = self.0.get(&key(owner)).into_iter().flat_map(|track| &track.gains);
        for (tick, gain) in gains {
            let age = usize::try_from(last - tick).unwrap_or(usize::MAX);
            if let Some(at) = sums.len().checked_sub(age + 1) {
                sums[at] += gain.counters.requests;
            }
        }
    }

    /// Tells what each gained since the last tick; not those that began after it.
    pub(super) fn gains(&self, told: impl FnMut(Gain<LatencyCells>)) {
        self.0.values().filter_map(Track::gain).for_each(told);
    }

    /// Whether the owner had counted something at the last tick.
    pub(super) fn knows(&self, owner: &O) -> bool {
        self.0.contains_key(&key(owner))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<O> Track<O> {
    fn after(&self, tick: u64) -> impl Iterator<Item = &Gain<PackedCells>> {
        self.gains.iter().filter(move |(number, _)| *number > tick).map(|(_, gain)| gain)
    }
}

/// The place of the counters, which is theirs alone as long as their owner is held.
fn key<O: Owner>(owner: &O) -> usize {
    ptr::from_ref(owner.traffic()).addr()
}
