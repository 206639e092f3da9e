//! Whether a tag can carry what another one does.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::error::CheckError;
use crate::model::{BackendId, HealthStatus, PoolName, SwitchStep};
use crate::state::{BackendNode, Snapshot};

/// The most requests that were in flight together on what these steps leave, within the last minutes. Given by the
/// server, so that control need not know how they are counted.
pub(crate) type PeakNow = Arc<dyn Fn(&[SwitchStep]) -> usize + Send + Sync>;

/// What a new tag must be able to carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The least of its healthy weight, as a share of the old tag's in percent; 0 is not to look at anything.
    pub(super) percent: u8,
    /// The most requests that a backend without a limit of its own takes.
    pub(super) most: Option<NonZeroUsize>,
}

impl Rule {
    /// Finds a tag that can't carry what moves to it. `after` is the state with the new backends; those of `proven` are
    /// healthy, and before anything was proven (`None`) all that are ready may be.
    pub(super) fn shortage(
        self,
        live: &Snapshot,
        after: &Snapshot,
        steps: &[SwitchStep],
        proven: Option<&BTreeSet<BackendId>>,
        peak: &PeakNow,
    ) -> Option<CheckError> {
        if self.percent == 0 {
            return None;
        }
        let mut joined: BTreeMap<PoolName, Vec<SwitchStep>> = BTreeMap::new();
        for step in steps {
            let host = after.domain(&step.domain).map(|node| &node.virtual_host);
            let host = host.or_else(|| live.domain(&step.domain).map(|node| &node.virtual_host))?;
            joined.entry(host.pool(&step.to)).or_default().push(step.clone());
        }
        joined.iter().find_map(|(pool, steps)| {
            let is_fit = |node: &BackendNode| {
                let is_healthy = node.live.health() == HealthStatus::Healthy;
                proven.is_none_or(|proven| is_healthy || proven.contains(&node.backend.id))
            };
            let ready = after.pool(pool).into_iter().flat_map(|pool| pool.ready());
            let fit: Vec<&Arc<BackendNode>> = ready.filter(|node| is_fit(node)).collect();
            self.lacks_weight(live, pool, steps, &fit)
                .or_else(|| self.lacks_room(pool, steps, &fit, peak))
        })
    }

    fn lacks_weight(
        self,
        live: &Snapshot,
        pool: &PoolName,
        steps: &[SwitchStep],
        fit: &[&Arc<BackendNode>],
    ) -> Option<CheckError> {
        let after = weight(fit.iter().copied());
        let healthy = |step: &SwitchStep| {
            let of = &live.domain(&step.domain)?.virtual_host;
            let ready = live.pool(&of.pool(&step.from))?.ready();
            Some(weight(ready.filter(|node| node.live.health() == HealthStatus::Healthy)))
        };
        let weights = steps.iter().filter_map(|step| Some((healthy(step)?, step)));
        let (before, step) = weights.max_by_key(|(weight, _)| *weight)?;
        // At least so much, rounded in favour of the new tag.
        (after * 100 < before * u64::from(self.percent)).then(|| CheckError::LessWeight {
            from: step.from.clone(),
            to: pool.tag.clone(),
            before,
            after,
            percent: self.percent,
        })
    }

    fn lacks_room(
        self,
        pool: &PoolName,
        steps: &[SwitchStep],
        fit: &[&Arc<BackendNode>],
        peak: &PeakNow,
    ) -> Option<CheckError> {
        // One without a limit takes any number.
        let limits =
            fit.iter().map(|node| node.live.max_requests(self.most).map(NonZeroUsize::get));
        let room = limits.sum::<Option<usize>>()?;
        let peak = peak(steps);
        (room < peak).then(|| CheckError::LessRoom {
            from: steps[0].from.clone(),
            to: pool.tag.clone(),
            peak,
            room,
        })
    }
}

fn weight<'a>(nodes: impl Iterator<Item = &'a Arc<BackendNode>>) -> u64 {
    nodes.map(|node| u64::from(node.backend.options.weight.get())).sum()
}
