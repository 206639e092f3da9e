//! The last minute, tick by tick.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::peaks::Peaks;
use super::track::{Gain, Reach, TICKS, Tracks};
use crate::counters::{LatencyCells, PackedCells};
use crate::model::StatsWindow;
use crate::state::{BackendLive, Snapshot, Traffic};

/// The time from one tick to the next.
pub(super) const TICK: Duration = Duration::from_secs(5);

/// What was counted, and when. Times are since the start.
#[derive(Debug)]
pub(super) struct History {
    /// The number of the last tick; the start is one.
    pub(super) number: u64,
    /// When the last ticks were, the last one at the end; the start is at `before`.
    pub(super) times: VecDeque<Duration>,
    pub(super) tags: Tracks<Arc<Traffic>>,
    pub(super) backends: Tracks<Arc<BackendLive>>,
    pub(super) peaks: Peaks,
    /// The counts of all tags since the start, including removed ones.
    total: Gain<LatencyCells>,
    /// The same in each of the last ticks.
    pub(super) totals: VecDeque<Gain<LatencyCells>>,
    /// How much of the time lies before the start: what was counted by the server before this one.
    pub(super) before: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self {
            number: 0,
            times: [Duration::ZERO].into(),
            tags: Tracks::default(),
            backends: Tracks::default(),
            peaks: Peaks::default(),
            total: Gain::default(),
            totals: VecDeque::new(),
            before: Duration::ZERO,
        }
    }
}

impl History {
    /// Records the counts since the last tick.
    pub(super) fn tick(&mut self, snapshot: &Snapshot, now: Duration) {
        self.number += 1;
        self.times.push_back(now + self.before);
        let mut total = Gain::<LatencyCells>::default();
        let tags = snapshot.domains().flat_map(|node| node.tags()).map(|tag| &tag.traffic);
        self.tags.tick(self.number, tags, |gain| total.add(gain));
        let backends = snapshot.backends().map(|node| &node.live);
        self.backends.tick(self.number, backends, |_| {});
        self.peaks.tick(self.number, snapshot);
        self.total.add(&total);
        self.totals.push_back(total);
        while self.totals.len() as u64 > TICKS {
            self.totals.pop_front();
            self.times.pop_front();
        }
    }

    /// How far back a window reaches, and its length: to the first tick that is at least as long
    /// ago, or to the start.
    pub(super) fn reach(&self, window: StatsWindow, now: Duration) -> (Reach, Duration) {
        match window.secs() {
            Some(secs) => self.reach_back(Duration::from_secs(secs), now),
            None => (Reach::Start, now),
        }
    }

    /// The same for a time of up to a minute.
    pub(super) fn reach_back(&self, last: Duration, now: Duration) -> (Reach, Duration) {
        let ticks = usize::try_from(last.as_secs().div_ceil(TICK.as_secs())).unwrap_or(usize::MAX);
        let at = self.times.len().saturating_sub(ticks + 1);
        let back = (self.times.len() - 1 - at) as u64;
        (Reach::After(self.number - back), (now + self.before).saturating_sub(self.times[at]))
    }

    /// How much time the last minutes cover that are kept as sums, with the part of one that runs.
    pub(super) fn covered(&self, minutes: u64, now: Duration) -> Duration {
        let first = (self.number / TICKS).saturating_sub(minutes) * TICKS;
        let ticks = u32::try_from(self.number + 1 - first.max(1)).unwrap_or(u32::MAX);
        let since = now.saturating_sub(self.times.back().copied().unwrap_or_default());
        if first == 0 { now } else { now.min(since + TICK * ticks) }
    }

    /// The counts of all tags.
    pub(super) fn total(&self, snapshot: &Snapshot, reach: Reach) -> Gain<LatencyCells> {
        let mut sum = match reach {
            Reach::Start => self.total.clone(),
            Reach::After(tick) => {
                let mut sum = Gain::default();
                let ticks = usize::try_from(self.number - tick).unwrap_or(usize::MAX);
                self.totals.iter().rev().take(ticks).for_each(|gain| sum.add(gain));
                sum
            }
        };
        self.tags.gains(|gain| sum.add(&gain));
        let tags = snapshot.domains().flat_map(|node| node.tags()).map(|tag| &tag.traffic);
        for traffic in tags.filter(|traffic| traffic.counts().is_some()) {
            if !self.tags.knows(traffic) {
                sum.counters.add(&self.tags.counters(traffic, reach));
                self.tags.add_cells(traffic, reach, &mut sum.cells);
            }
        }
        sum
    }

    /// Requests a second in each of the last ticks, the oldest first; `requests` adds up a tick.
    pub(super) fn rates(&self, requests: impl FnOnce(&mut [u64])) -> Vec<f64> {
        let mut sums = vec![0; self.times.len() - 1];
        requests(&mut sums);
        let spans = self.times.iter().zip(self.times.iter().skip(1));
        let rate = |(sum, (from, to)): (&u64, (&Duration, &Duration))| {
            per_second(*sum, to.saturating_sub(*from))
        };
        sums.iter().zip(spans).map(rate).collect()
    }

    /// The same of everything.
    pub(super) fn total_rates(&self) -> Vec<f64> {
        self.rates(|sums| {
            for (sum, gain) in sums.iter_mut().zip(&self.totals) {
                *sum = gain.counters.requests;
            }
        })
    }
}

impl Gain<LatencyCells> {
    pub(super) fn add(&mut self, more: &Self) {
        self.counters.add(&more.counters);
        self.cells.add(&more.cells);
    }

    pub(super) fn add_packed(&mut self, more: &Gain<PackedCells>) {
        self.counters.add(&more.counters);
        self.cells.add_packed(&more.cells);
    }
}

/// The rate a second; 0 for an empty duration.
pub(super) fn per_second(number: u64, span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "nobody reads the sixteenth digit of a rate")]
    let number = number as f64;
    if span.is_zero() { 0.0 } else { number / span.as_secs_f64() }
}
