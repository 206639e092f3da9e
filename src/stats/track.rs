//! The differences of counters from tick to tick.

use std::collections::{HashMap, VecDeque};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::Counters;
use crate::counters::{LatencyCells, PackedCells};
use crate::state::{BackendLive, Traffic, TrafficCounts};

/// The number of recorded ticks: those of a minute.
pub(super) const TICKS: u64 = 12;

/// The number of minutes of which the sums are kept, the one that runs included.
pub(super) const MINUTES: u64 = 11;

/// Who owns a set of counters, and keeps it alive.
pub(super) trait Owner: Clone {
    fn traffic(&self) -> &Traffic;
    /// Whether nothing else holds the counters, so that they can't change any more.
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

/// The counts of a period.
#[derive(Debug, Clone, Default)]
pub(super) struct Gain<Cells> {
    pub(super) counters: Counters,
    pub(super) cells: Cells,
}

/// One set of counters.
#[derive(Debug)]
struct Track<O> {
    owner: O,
    /// The counters at the last tick.
    mark: Gain<PackedCells>,
    /// The counts of the ticks that have any, by the tick's number.
    gains: VecDeque<(u64, Gain<PackedCells>)>,
    /// The counts of the minutes that have any, by the minute's number.
    minutes: VecDeque<(u64, Gain<PackedCells>)>,
    /// The last tick at which they were part of the published state.
    seen: u64,
}

impl<O: Owner> Track<O> {
    fn new(owner: O) -> Self {
        Self {
            owner,
            mark: Gain::default(),
            gains: VecDeque::new(),
            minutes: VecDeque::new(),
            seen: 0,
        }
    }

    /// The counts since the last tick.
    fn gain(&self) -> Option<Gain<LatencyCells>> {
        let counts = self.owner.traffic().counts()?;
        let counters = Counters::read(counts);
        // A request updates several counters; a reader in between gets the rest at the next tick.
        let is_same = counters == self.mark.counters
            && self.mark.cells.total() == self.mark.counters.requests;
        (!is_same).then(|| Gain {
            counters: counters.since(&self.mark.counters),
            cells: counts.latency().cells().since_packed(&self.mark.cells),
        })
    }

    /// Records the counts since the last tick.
    fn tick(&mut self, number: u64) -> Option<Gain<LatencyCells>> {
        while self.gains.front().is_some_and(|(tick, _)| tick + TICKS <= number) {
            self.gains.pop_front();
        }
        let minute = number / TICKS;
        while self.minutes.front().is_some_and(|(of, _)| of + MINUTES <= minute) {
            self.minutes.pop_front();
        }
        let gain = self.gain();
        if let Some(gain) = &gain {
            self.add_to_minute(minute, gain);
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

impl<O: Owner> Track<O> {
    fn add_to_minute(&mut self, minute: u64, gain: &Gain<LatencyCells>) {
        match self.minutes.back_mut() {
            Some((of, sum)) if *of == minute => {
                sum.counters.add(&gain.counters);
                let mut cells = gain.cells.clone();
                cells.add_packed(&sum.cells);
                sum.cells = cells.packed();
            }
            _ => {
                let sum = Gain { counters: gain.counters, cells: gain.cells.packed() };
                self.minutes.push_back((minute, sum));
            }
        }
    }
}

/// The period of figures: whole ticks, and the time since the last.
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
    /// Records the counts of `owners`, and drops counters that can't change any more. Calls back
    /// with each difference.
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
            // Running requests count where they began.
            let is_last = track.owner.is_last();
            fence(Ordering::Acquire);
            track.tick(number).iter().for_each(&mut gained);
            !is_last
        });
    }

    /// The counters of one owner in a period, without durations.
    pub(super) fn counters(&self, owner: &O, reach: Reach) -> Counters {
        let now = owner.traffic().counts().map(Counters::read).unwrap_or_default();
        match (reach, self.0.get(&key(owner))) {
            (Reach::Start, _) | (_, None) => now,
            (Reach::After(tick), Some(track)) => {
                let mut sum = Counters::default();
                track.after(tick).for_each(|gain| sum.add(&gain.counters));
                sum.add(&now.since(&track.mark.counters));
                sum
            }
        }
    }

    /// Adds the durations of one owner's requests in a period.
    pub(super) fn add_cells(&self, owner: &O, reach: Reach, sum: &mut LatencyCells) {
        match (reach, self.0.get(&key(owner))) {
            (Reach::Start, _) | (_, None) => {
                if let Some(counts) = owner.traffic().counts() {
                    sum.add(&TrafficCounts::latency(counts).cells());
                }
            }
            (Reach::After(tick), Some(track)) => {
                track.after(tick).for_each(|gain| sum.add_packed(&gain.cells));
                if let Some(gain) = track.gain() {
                    sum.add(&gain.cells);
                }
            }
        }
    }

    /// The counts of one owner in the last minutes, up to `MINUTES`, and in the part of one that runs.
    pub(super) fn recent(&self, owner: &O, last: u64, minutes: u64) -> Gain<LatencyCells> {
        let mut sum = Gain::<LatencyCells>::default();
        let Some(counts) = owner.traffic().counts() else { return sum };
        let Some(track) = self.0.get(&key(owner)) else {
            let (counters, cells) = (Counters::read(counts), counts.latency().cells());
            return Gain { counters, cells };
        };
        let first = (last / TICKS).saturating_sub(minutes);
        for (_, gain) in track.minutes.iter().filter(|(minute, _)| *minute >= first) {
            sum.counters.add(&gain.counters);
            sum.cells.add_packed(&gain.cells);
        }
        if let Some(gain) = track.gain() {
            sum.counters.add(&gain.counters);
            sum.cells.add(&gain.cells);
        }
        sum
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

    /// Calls back with the difference of each since the last tick; not for those that began after
    /// it.
    pub(super) fn gains(&self, gained: impl FnMut(Gain<LatencyCells>)) {
        self.0.values().filter_map(Track::gain).for_each(gained);
    }

    /// What was recorded of an owner, by the numbers of the ticks.
    pub(super) fn recorded(&self, owner: &O) -> impl Iterator<Item = (u64, &Gain<PackedCells>)> {
        let gains = self.0.get(&key(owner)).into_iter().flat_map(|track| &track.gains);
        gains.map(|(number, gain)| (*number, gain))
    }

    /// Goes on from what was recorded of an owner up to tick `number` by another process.
    pub(super) fn resume(
        &mut self,
        owner: &O,
        number: u64,
        gains: VecDeque<(u64, Gain<PackedCells>)>,
    ) {
        let track = Track { gains, seen: number, ..Track::new(O::clone(owner)) };
        self.0.insert(key(owner), track);
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

/// The address of the counters, which is unique as long as their owner is held.
fn key<O: Owner>(owner: &O) -> usize {
    ptr::from_ref(owner.traffic()).addr()
}
