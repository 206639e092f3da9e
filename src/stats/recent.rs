//! The traffic of one domain on one tag in the last minutes.

use super::history::History;
use super::{Counters, Stats};
use crate::counters::LatencyCells;
use crate::model::{DomainName, SwitchStep, Tag};
use crate::state::{Snapshot, TrafficCounts};

/// The most minutes that can be asked for.
pub(crate) const MOST_MINUTES: u64 = 10;

/// The traffic of one domain on one tag in the last minutes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    /// Its requests.
    pub counters: Counters,
    /// How long the backends of the tag took until their answers began, whichever domain they answered for.
    pub first_byte: LatencyCells,
    /// The network that nearly all requests came from.
    pub sole_network: Option<u64>,
}

impl Stats {
    /// The traffic of a domain on a tag in the last minutes. Nothing where there is no such domain, or that tag has
    /// had none of its requests.
    pub(crate) fn recent(&self, domain: &DomainName, tag: &Tag, minutes: u64) -> Option<Recent> {
        self.with_history(|history, snapshot| recent(history, snapshot, domain, tag, minutes))
    }

    /// The most requests that were in flight together on what `steps` leave, within the last ten minutes.
    pub(crate) fn peak_in_flight(&self, steps: &[SwitchStep]) -> usize {
        self.with_history(|history, snapshot| history.peaks.together(steps, snapshot))
    }
}

fn recent(
    history: &History,
    snapshot: &Snapshot,
    domain: &DomainName,
    tag: &Tag,
    minutes: u64,
) -> Option<Recent> {
    let node = snapshot.domain(domain)?;
    let of = node.tags().iter().find(|of| of.tag() == tag)?;
    let gain = history.tags.recent(&of.traffic, history.number, minutes);
    let mut first_byte = LatencyCells::default();
    for node in snapshot.pool(&of.pool).into_iter().flat_map(|pool| pool.backends()) {
        first_byte.add(&history.backends.recent(&node.live, history.number, minutes).cells);
    }
    let sole_network = of.traffic.counts().and_then(TrafficCounts::sole_network);
    Some(Recent { counters: gain.counters, first_byte, sole_network })
}
