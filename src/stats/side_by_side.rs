//! The recent traffic of two tags of the same domains.

use std::time::Duration;

use super::history::{History, per_second};
use super::track::Gain;
use super::{Counters, MOST_MINUTES, Stats};
use crate::counters::LatencyCells;
use crate::model::{DomainName, Tag};
use crate::state::Snapshot;

/// What is kept tick by tick.
const MINUTE: Duration = Duration::from_mins(1);

/// The recent traffic of two tags.
#[derive(Debug)]
pub(crate) struct SideBySide {
    /// The revision of the state.
    pub revision: u64,
    /// The time that it is of: a little more than what was asked for, or less just after a start.
    pub covered: Duration,
    /// That of each.
    pub sides: [TagTraffic; 2],
}

/// The requests of a tag that have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct TagTraffic {
    pub counters: Counters,
    /// How long they took.
    pub took: LatencyCells,
}

impl SideBySide {
    /// The rate a second.
    pub(crate) fn rate_of(&self, number: u64) -> f64 {
        per_second(number, self.covered)
    }
}

impl Stats {
    /// The traffic of two tags in the last time, up to [`MOST_MINUTES`], of these domains together. `None` if the
    /// server stops in between.
    pub(crate) async fn side_by_side(
        &self,
        domains: Vec<DomainName>,
        tags: [Tag; 2],
        last: Duration,
    ) -> Option<SideBySide> {
        self.reading(move |history, snapshot, now| {
            let side = |tag: &Tag| traffic(history, snapshot, &domains, tag, last, now);
            SideBySide {
                revision: snapshot.revision(),
                covered: covered(history, last, now),
                sides: tags.each_ref().map(side),
            }
        })
        .await
    }
}

/// That many whole minutes.
fn minutes(last: Duration) -> u64 {
    last.as_secs().div_ceil(60).min(MOST_MINUTES)
}

fn covered(history: &History, last: Duration, now: Duration) -> Duration {
    if last <= MINUTE {
        history.reach_back(last, now).1
    } else {
        history.covered(minutes(last), now)
    }
}

/// The traffic of domains on a tag.
pub(super) fn traffic(
    history: &History,
    snapshot: &Snapshot,
    domains: &[DomainName],
    tag: &Tag,
    last: Duration,
    now: Duration,
) -> TagTraffic {
    let nodes = domains.iter().filter_map(|domain| snapshot.domain(domain));
    let of_tag = nodes.flat_map(|node| node.tags()).filter(|of| of.tag() == tag);
    let mut sum = Gain::<LatencyCells>::default();
    for of in of_tag {
        if last <= MINUTE {
            let (reach, _) = history.reach_back(last, now);
            sum.counters.add(&history.tags.counters(&of.traffic, reach));
            history.tags.add_cells(&of.traffic, reach, &mut sum.cells);
        } else {
            sum.add(&history.tags.recent(&of.traffic, history.number, minutes(last)));
        }
    }
    TagTraffic { counters: sum.counters, took: sum.cells }
}
