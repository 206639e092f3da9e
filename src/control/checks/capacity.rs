//! Whether a tag can carry what another one does.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::error::CheckError;
use crate::model::{BackendId, DomainName, HealthStatus, PoolName, SwitchStep};
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
    /// Finds a tag that can't carry what moves to it. `after` is the state with the new backends: before anything was
    /// proven (`None`) all count that are ready, and then those that were proven or are not known to be unhealthy.
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
            let may_serve = |node: &BackendNode| {
                let is_well = node.live.health() != HealthStatus::Unhealthy;
                proven.is_none_or(|proven| is_well || proven.contains(&node.backend.id))
            };
            let ready = after.pool(pool).into_iter().flat_map(|pool| pool.ready());
            let fit: Vec<&Arc<BackendNode>> = ready.filter(|node| may_serve(node)).collect();
            self.lacks_weight(live, pool, steps, &fit)
                .or_else(|| self.lacks_room(live, pool, steps, &fit, peak))
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
        // Of a domain on several tags the largest counts; domains on one tag share it.
        let mut left: BTreeMap<&DomainName, (u64, PoolName)> = BTreeMap::new();
        for step in steps {
            let of = live.domain(&step.domain)?.virtual_host.pool(&step.from);
            let ready = live.pool(&of).into_iter().flat_map(|pool| pool.ready());
            let healthy = weight(ready.filter(|node| node.live.health() == HealthStatus::Healthy));
            let largest = left.entry(&step.domain).or_insert((healthy, of.clone()));
            if healthy > largest.0 {
                *largest = (healthy, of);
            }
        }
        let left: BTreeMap<PoolName, u64> =
            left.into_values().map(|(weight, of)| (of, weight)).collect();
        let before: u64 = left.values().sum();
        let step = steps.first()?;
        (after * 100 < before * u64::from(self.percent)).then(|| CheckError::LessWeight {
            from: step.from.clone(),
            to: pool.tag.clone(),
            before,
            after,
            percent: self.percent,
        })
    }

    /// How many requests these backends take at once: any number where one has no limit.
    fn room(self, nodes: &[&Arc<BackendNode>]) -> Option<usize> {
        nodes.iter().map(|node| node.live.max_requests(self.most).map(NonZeroUsize::get)).sum()
    }

    fn lacks_room(
        self,
        live: &Snapshot,
        pool: &PoolName,
        steps: &[SwitchStep],
        fit: &[&Arc<BackendNode>],
        peak: &PeakNow,
    ) -> Option<CheckError> {
        // What the old tags could not take has waited: it would wait as long for the new one.
        let of = |step: &SwitchStep| Some(live.domain(&step.domain)?.virtual_host.pool(&step.from));
        let left: BTreeSet<PoolName> = steps.iter().filter_map(of).collect();
        let left = left.iter().filter_map(|of| live.pool(of));
        let taken: Option<usize> =
            left.map(|pool| self.room(&pool.ready().collect::<Vec<_>>())).sum();
        let room = self.room(fit)?;
        let peak = peak(steps).min(taken.unwrap_or(usize::MAX));
        (room < peak).then(|| CheckError::LessRoom {
            from: steps[0].from.clone(),
            to: pool.tag.clone(),
            peak,
            room,
        })
    }
}

/// The weight of backends: those that are backups count only where there are no others.
fn weight<'a>(nodes: impl Iterator<Item = &'a Arc<BackendNode>>) -> u64 {
    let of = |node: &Arc<BackendNode>| u64::from(node.backend.options.weight.get());
    let (backups, main): (Vec<_>, Vec<_>) = nodes.partition(|node| node.backend.options.backup);
    let serving = if main.is_empty() { backups } else { main };
    serving.into_iter().map(of).sum()
}
