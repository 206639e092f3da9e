//! The last minute, handed to a successor and taken over from the server before.

use std::collections::VecDeque;
use std::time::Duration;

use super::Counters;
use super::history::History;
use super::track::{Gain, Owner, Reach, TICKS, Tracks};
use crate::clock::whole_millis;
use crate::counters::{LatencyCells, PackedCells};
use crate::model::{BackendTraffic, RecentTraffic, StepTraffic, TagTraffic};
use crate::state::Snapshot;

/// The most tags, and the most backends, whose figures are handed on: those with the most requests. The totals are of
/// all.
const MAX_TRACKS: usize = 1000;

/// The longest step that is believed: one is five seconds, and the last one up to ten.
const MAX_STEP: Duration = Duration::from_mins(1);

impl History {
    /// The last minute, for a successor. What was counted since the last tick is part of the last step.
    pub(super) fn recent(&self, snapshot: &Snapshot, now: Duration) -> RecentTraffic {
        let now = now + self.before;
        let mut ends: Vec<_> = self.times.iter().copied().collect();
        match &mut ends[..] {
            [_only] => ends.push(now),
            [.., last] => *last = now,
            [] => {}
        }
        let spans = ends.iter().zip(ends.iter().skip(1));
        let steps_ms: Vec<_> =
            spans.map(|(from, to)| whole_millis(to.saturating_sub(*from))).collect();
        let steps = Steps {
            first: (self.number + 1).saturating_sub(self.times.len() as u64 - 1),
            last: self.number,
            count: steps_ms.len(),
        };

        let mut total = steps.none();
        for (place, gain) in self.totals.iter().enumerate() {
            total[place].add(gain);
        }
        if let Some(last) = total.last_mut() {
            last.add(&self.total(snapshot, Reach::After(self.number)));
        }
        let tags = snapshot.domains().flat_map(|node| {
            let domain = &node.virtual_host.domain;
            node.tags().iter().filter_map(|tag| {
                let steps = steps.of(&self.tags, &tag.traffic)?;
                Some(TagTraffic { domain: domain.clone(), pool: tag.pool.clone(), steps })
            })
        });
        let backends = snapshot.backends().filter_map(|node| {
            let steps = steps.of(&self.backends, &node.live)?;
            Some(BackendTraffic { backend: node.backend.id.clone(), steps })
        });
        RecentTraffic {
            steps_ms,
            total: written(total),
            tags: busiest(tags.collect(), |tag| &tag.steps),
            backends: busiest(backends.collect(), |backend| &backend.steps),
        }
    }

    /// Goes on from the last minute of the server before. Where this one has counted for a while already, that is too late.
    pub(super) fn resume(&mut self, snapshot: &Snapshot, recent: &RecentTraffic) {
        if self.number > 0 || recent.steps_ms.is_empty() {
            return;
        }
        let kept = usize::try_from(TICKS).unwrap_or(usize::MAX);
        let skipped = recent.steps_ms.len().saturating_sub(kept);
        let mut end = Duration::ZERO;
        self.times = [end].into();
        for step in &recent.steps_ms[skipped..] {
            end += Duration::from_millis(*step).min(MAX_STEP);
            self.times.push_back(end);
        }
        self.before = end;
        let count = self.times.len() - 1;
        self.number = count as u64;
        let gains = |steps: &[StepTraffic]| -> VecDeque<(u64, Gain<PackedCells>)> {
            let places = steps.iter().filter_map(|step| {
                let place = step.step.checked_sub(skipped).filter(|place| *place < count)?;
                Some((place as u64 + 1, gain_of(step)))
            });
            places.collect()
        };
        let mut totals: VecDeque<_> = (0..count).map(|_| Gain::<LatencyCells>::default()).collect();
        for (number, gain) in gains(&recent.total) {
            let place = usize::try_from(number - 1).unwrap_or(usize::MAX);
            if let Some(total) = totals.get_mut(place) {
                total.add_packed(&gain);
            }
        }
        self.totals = totals;
        for TagTraffic { domain, pool, steps } in &recent.tags {
            let node = snapshot.domain(domain);
            let tag = node.and_then(|node| node.tags().iter().find(|tag| tag.pool == *pool));
            if let Some(tag) = tag {
                self.tags.resume(&tag.traffic, self.number, gains(steps));
            }
        }
        for BackendTraffic { backend, steps } in &recent.backends {
            if let Some(node) = snapshot.backend(backend) {
                self.backends.resume(&node.live, self.number, gains(steps));
            }
        }
    }
}

/// The steps of a minute, by the numbers of their ticks.
#[derive(Clone, Copy)]
struct Steps {
    first: u64,
    last: u64,
    count: usize,
}

impl Steps {
    fn none(self) -> Vec<Gain<LatencyCells>> {
        (0..self.count).map(|_| Gain::default()).collect()
    }

    /// What one owner has counted; `None` where it has counted nothing.
    fn of<O: Owner>(self, tracks: &Tracks<O>, owner: &O) -> Option<Vec<StepTraffic>> {
        if owner.traffic().counts().is_none() && !tracks.knows(owner) {
            return None;
        }
        let mut gains = self.none();
        for (number, gain) in tracks.recorded(owner) {
            let place = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            if let Some(step) = place.and_then(|place| gains.get_mut(place)) {
                step.add_packed(gain);
            }
        }
        if let Some(last) = gains.last_mut() {
            last.counters.add(&tracks.counters(owner, Reach::After(self.last)));
            tracks.add_cells(owner, Reach::After(self.last), &mut last.cells);
        }
        let written = written(gains);
        (!written.is_empty()).then_some(written)
    }
}

/// Those that have counted anything.
fn written(gains: Vec<Gain<LatencyCells>>) -> Vec<StepTraffic> {
    let counted = gains.into_iter().enumerate();
    let counted = counted.filter(|(_, gain)| gain.counters != Counters::default());
    let step = |(step, gain): (usize, Gain<LatencyCells>)| {
        let Counters { requests, errors, faults, classes, received_bytes, sent_bytes, retries } =
            gain.counters;
        let durations = gain.cells.packed().counts().to_vec();
        StepTraffic {
            step,
            requests,
            errors,
            faults,
            classes: classes.to_vec(),
            received_bytes,
            sent_bytes,
            retries,
            durations,
        }
    };
    counted.map(step).collect()
}

fn gain_of(step: &StepTraffic) -> Gain<PackedCells> {
    let StepTraffic { requests, errors, faults, received_bytes, sent_bytes, retries, .. } = *step;
    let class = |at: usize| step.classes.get(at).copied().unwrap_or_default();
    let classes = std::array::from_fn(class);
    Gain {
        counters: Counters {
            requests,
            errors,
            faults,
            received_bytes,
            sent_bytes,
            retries,
            classes,
        },
        cells: PackedCells::of(&step.durations),
    }
}

/// The first by requests.
fn busiest<T>(mut all: Vec<T>, steps: impl Fn(&T) -> &Vec<StepTraffic>) -> Vec<T> {
    if all.len() > MAX_TRACKS {
        let requests = |one: &T| steps(one).iter().map(|step| step.requests).sum::<u64>();
        all.sort_by_cached_key(|one| std::cmp::Reverse(requests(one)));
        all.truncate(MAX_TRACKS);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::report::report;
    use super::super::{Query, tests as made};
    use super::*;
    use crate::model::{StatsSort, StatsWindow};

    fn figures(
        history: &History,
        snapshot: &Snapshot,
        window: StatsWindow,
        now: Duration,
    ) -> [u64; 3] {
        let query = Query { domain: None, backend: None, window, sort: StatsSort::Rate, limit: 10 };
        let report = report(history, snapshot, &query, now);
        assert_eq!(report.total.latency.total(), report.total.counters.requests);
        let of_domain = &report.domains[0].figures;
        assert_eq!(of_domain.latency.total(), of_domain.counters.requests);
        [
            report.total.counters.requests,
            of_domain.counters.requests,
            u64::from(report.span.subsec_nanos()) + report.span.as_secs(),
        ]
    }

    #[test]
    fn a_successor_has_the_last_minute_of_both_and_its_own_start() {
        let second = Duration::from_secs(1);
        let snapshot = Snapshot::default().after(vec![made::domain("a.test", "a")], 1);
        let mut before = History::default();
        made::count(&made::live(&snapshot, "a.test"), 4, 10);
        before.tick(&snapshot, 5 * second);
        made::count(&made::live(&snapshot, "a.test"), 2, 10);
        before.tick(&snapshot, 10 * second);
        made::count(&made::live(&snapshot, "a.test"), 1, 10);
        // Over the wire, and in a process that has another state in memory.
        let recent = serde_json::to_string(&before.recent(&snapshot, 12 * second)).unwrap();
        let recent = serde_json::from_str(&recent).unwrap();
        let next = Snapshot::default().after(vec![made::domain("a.test", "a")], 1);
        let mut after = History::default();
        after.resume(&next, &recent);
        assert_eq!(figures(&after, &next, StatsWindow::Minute, Duration::ZERO), [7, 7, 12]);
        assert_eq!(
            figures(&after, &next, StatsWindow::Start, second),
            [0, 0, 1],
            "it has counted none"
        );
        made::count(&made::live(&next, "a.test"), 3, 10);
        assert_eq!(figures(&after, &next, StatsWindow::Minute, second), [10, 10, 13]);
        assert_eq!(
            figures(&after, &next, StatsWindow::TenSecs, 2 * second)[0],
            10,
            "the steps that reach back ten seconds, and since"
        );
        after.tick(&next, 5 * second);
        assert_eq!(figures(&after, &next, StatsWindow::Minute, 6 * second), [10, 10, 18]);
        assert_eq!(figures(&after, &next, StatsWindow::Start, 6 * second), [3, 3, 6]);
        for tick in 2..=12 {
            after.tick(&next, tick * 5 * second);
        }
        assert_eq!(figures(&after, &next, StatsWindow::Minute, 60 * second), [3, 3, 60]);
        // Too late: it has a history of its own.
        after.resume(&next, &recent);
        assert_eq!(figures(&after, &next, StatsWindow::Minute, 60 * second)[0], 3);
    }

    #[test]
    fn what_is_handed_on_twice_and_nonsense_do_no_harm() {
        let second = Duration::from_secs(1);
        let snapshot = Snapshot::default().after(vec![made::domain("a.test", "a")], 1);
        let mut first = History::default();
        made::count(&made::live(&snapshot, "a.test"), 4, 10);
        first.tick(&snapshot, 5 * second);
        let mut second_one = History::default();
        second_one.resume(&snapshot, &RecentTraffic::default());
        assert_eq!(second_one.number, 0);
        let empty = Snapshot::default().after(vec![made::domain("a.test", "b")], 1);
        second_one.resume(&empty, &first.recent(&snapshot, 6 * second));
        assert_eq!(
            figures(&second_one, &empty, StatsWindow::Minute, second)[..2],
            [4, 0],
            "the tag is gone"
        );
        let again = second_one.recent(&empty, second);
        assert_eq!((again.steps_ms, again.tags.len()), (vec![7000], 0));
        let step = StepTraffic {
            step: usize::MAX,
            durations: vec![(u16::MAX, 1)],
            ..StepTraffic::default()
        };
        let steps = vec![step.clone(), StepTraffic { step: 0, ..step }];
        let nonsense = RecentTraffic {
            steps_ms: vec![u64::MAX; 40],
            total: steps.clone(),
            tags: Vec::new(),
            backends: Vec::new(),
        };
        let mut third = History::default();
        third.resume(&empty, &nonsense);
        assert_eq!(third.number, TICKS);
        let _ = Arc::strong_count(&made::live(&empty, "a.test"));
        assert_eq!(figures(&third, &empty, StatsWindow::Minute, second)[0], 0);
    }
}
