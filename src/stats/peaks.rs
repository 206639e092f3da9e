//! The most requests in flight in each of the last minutes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::track::{MINUTES, TICKS};
use crate::counters::InFlight;
use crate::model::SwitchStep;
use crate::state::Snapshot;

/// The peaks of a domain on a tag.
#[derive(Debug)]
struct Peak {
    /// What counts its requests, and keeps the number alive by which it is found.
    _in_flight: Arc<InFlight>,
    /// The most requests at any tick of the minutes that had any, by the minute's number.
    minutes: VecDeque<(u64, usize)>,
}

/// The peaks of what has had requests in flight within the last minutes.
#[derive(Debug, Default)]
pub(super) struct Peaks(HashMap<usize, Peak>);

impl Peaks {
    /// Records how many requests are in flight at tick `number`.
    pub(super) fn tick(&mut self, number: u64, snapshot: &Snapshot) {
        let minute = number / TICKS;
        for of in snapshot.domains().flat_map(|node| node.tags()) {
            let requests = of.in_flight.count();
            if requests > 0 {
                let new =
                    || Peak { _in_flight: Arc::clone(&of.in_flight), minutes: VecDeque::new() };
                self.0.entry(key(&of.in_flight)).or_insert_with(new).note(minute, requests);
            }
        }
        self.0.retain(|_, peak| {
            while peak.minutes.front().is_some_and(|(of, _)| of + MINUTES <= minute + 1) {
                peak.minutes.pop_front();
            }
            !peak.minutes.is_empty()
        });
    }

    /// The most requests that were in flight together on what `steps` leave, within the last minutes. What began and
    /// ended between two ticks is not seen.
    pub(super) fn together(&self, steps: &[SwitchStep], snapshot: &Snapshot) -> usize {
        let (mut now, mut minutes) = (0, HashMap::<u64, usize>::new());
        for step in steps {
            let node = snapshot.domain(&step.domain);
            let Some(in_flight) = node.and_then(|node| node.in_flight_on(&step.from)) else {
                continue;
            };
            now += in_flight.count();
            for (minute, most) in self.0.get(&key(in_flight)).iter().flat_map(|peak| &peak.minutes)
            {
                *minutes.entry(*minute).or_default() += most;
            }
        }
        minutes.into_values().max().unwrap_or_default().max(now)
    }
}

impl Peak {
    fn note(&mut self, minute: u64, requests: usize) {
        match self.minutes.back_mut() {
            Some((of, most)) if *of == minute => *most = requests.max(*most),
            _ => self.minutes.push_back((minute, requests)),
        }
    }
}

/// The address of a count, which is unique as long as it is held.
fn key(in_flight: &Arc<InFlight>) -> usize {
    Arc::as_ptr(in_flight).addr()
}
