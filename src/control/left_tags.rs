//! The tags that a switch leaves, and what still runs there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ControlPlane, drain};
use crate::clock::whole_millis;
use crate::counters::{Elsewhere, InFlight};
use crate::model::{Outcome, SwitchOptions, SwitchStep};
use crate::state::Snapshot;

/// The tags that a switch has left, and what still runs there.
pub(super) struct LeftTags<'s> {
    tags: Vec<(&'s SwitchStep, Arc<InFlight>)>,
    /// The revision since which they are left.
    revision: u64,
    elsewhere: Elsewhere,
}

impl<'s> LeftTags<'s> {
    /// Those of these steps, after which the state is `applied`.
    fn of(applied: &Snapshot, steps: &'s [SwitchStep], elsewhere: Elsewhere) -> Self {
        let left = steps.iter().filter_map(|step| {
            let node = applied.domain(&step.domain)?;
            Some((step, Arc::clone(node.in_flight_on(&step.from)?)))
        });
        Self { tags: left.collect(), revision: applied.revision(), elsewhere }
    }

    /// Requests that run there.
    pub(super) fn requests(&self, now: &Snapshot) -> usize {
        let of =
            |(step, count): &(&SwitchStep, Arc<InFlight>)| count.count() + self.elsewhere(step).0;
        self.still_left(now).map(of).sum()
    }

    /// How many of them are WebSockets.
    pub(super) fn web_sockets(&self, now: &Snapshot) -> usize {
        let of = |(step, count): &(&SwitchStep, Arc<InFlight>)| {
            count.web_sockets() + self.elsewhere(step).1
        };
        self.still_left(now).map(of).sum()
    }

    /// Requests in processes that this one has replaced, and how many of them are WebSockets.
    fn elsewhere(&self, step: &SwitchStep) -> (usize, usize) {
        let (domain, tag) = (step.domain.to_string(), step.from.as_str());
        self.elsewhere.on_tag(&domain, tag, self.revision)
    }

    /// How long after the switch the server has ended all WebSockets and event streams; `None` where those of
    /// any domain are kept.
    pub(super) fn end_in(&self, now: &Snapshot) -> Option<Duration> {
        let ends = self
            .still_left(now)
            .map(|(step, _)| Some(now.domain(&step.domain)?.times().close_left?.in_all()));
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    pub(super) fn is_any_back(&self, now: &Snapshot) -> bool {
        self.tags.iter().any(|(step, _)| is_back(now, step))
    }

    fn still_left(&self, now: &Snapshot) -> impl Iterator<Item = &(&'s SwitchStep, Arc<InFlight>)> {
        self.tags.iter().filter(move |(step, _)| !is_back(now, step))
    }
}

/// Once a domain is back on the tag it left, that tag's requests never end; whoever moved it there is the one
/// to drain.
fn is_back(now: &Snapshot, step: &SwitchStep) -> bool {
    now.domain(&step.domain)
        .is_some_and(|node| node.virtual_host.live_tags().any(|tag| *tag == step.from))
}

impl ControlPlane {
    /// The tags that were left by `steps`, after which the state is `applied`.
    pub(super) fn left_tags<'s>(
        &self,
        applied: &Snapshot,
        steps: &'s [SwitchStep],
    ) -> LeftTags<'s> {
        LeftTags::of(applied, steps, self.inner.elsewhere.clone())
    }

    /// Waits until none of the requests that `remaining` counts is left. `report` gets how many there are, how many of
    /// them are WebSockets, and in how many milliseconds the server ends those.
    pub(super) async fn wait_until_drained(
        &self,
        left: &LeftTags<'_>,
        remaining: impl Fn() -> usize,
        options: &SwitchOptions,
        report: impl Fn(usize, usize, Option<u64>),
    ) -> Outcome {
        let started = Instant::now();
        let timeout = options.drain_timeout().unwrap_or(self.options().drain_timeout);
        let progress = |remaining| {
            let now = self.snapshot();
            let end_in = left.end_in(&now).map(|time| time.saturating_sub(started.elapsed()));
            report(remaining, left.web_sockets(&now), end_in.map(whole_millis));
        };
        match drain::until_none(remaining, started + timeout, progress).await {
            Err(remaining) => Outcome::DrainTimedOut { remaining },
            Ok(()) if left.is_any_back(&self.snapshot()) => Outcome::Superseded,
            Ok(()) => Outcome::Done,
        }
    }
}
