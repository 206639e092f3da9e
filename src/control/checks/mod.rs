//! What a new tag must pass before it is made live.

mod capacity;
mod error;
mod smoke;
mod subject;

use std::collections::BTreeSet;
use std::time::Instant;

pub(crate) use capacity::PeakNow;
pub(crate) use error::CheckError;
pub(crate) use smoke::{SmokeNow, SmokeTry};
pub(super) use subject::Checks;

use super::{ControlError, ControlPlane, gate};
use crate::model::{BackendId, PoolName, SwitchProgress, SwitchStep};
use crate::state::Snapshot;

/// A check that is being made.
#[derive(Debug)]
pub(super) enum Check<'a> {
    /// The backends of a pool are being probed.
    Probing {
        pool: &'a PoolName,
        /// Backends proven healthy so far, those that must be, and all that are ready.
        healthy: usize,
        needed: usize,
        total: usize,
    },
    /// The new backends are being tried with requests.
    Smoke {
        /// Requests that were answered as expected, those that were not, and all.
        passed: usize,
        failed: usize,
        total: usize,
    },
}

impl ControlPlane {
    /// Checks what is to be live: its capacity before anything is probed, its health, its capacity as what was proven
    /// has it, and what it answers to smoke requests. Gives the backends that were proven; `None` where the caller wants
    /// no checks.
    pub(super) async fn pass_checks(
        &self,
        checks: &Checks<'_>,
        progress: &(impl Fn(Check<'_>) + Send + Sync),
    ) -> Result<Option<BTreeSet<BackendId>>, ControlError> {
        // Not proven is one thing; that nobody could answer is another.
        for pool in checks.pools {
            gate::ready_pool(checks.after, pool)?;
        }
        if checks.options.force {
            return Ok(None);
        }
        if let Some(requests) = &checks.options.smoke {
            smoke::check(checks, requests)?;
        }
        self.check_capacity(checks, None)?;
        let mut proven = BTreeSet::new();
        for pool in checks.pools {
            let timeout = checks.deadline.saturating_duration_since(Instant::now());
            let percent = self.options().min_healthy_percent;
            let report = |healthy, needed, total| {
                progress(Check::Probing { pool, healthy, needed, total });
            };
            let probe = &self.inner.services.probe;
            let gate = gate::prove(checks.after, pool, percent, timeout, probe, report);
            proven.extend(self.unless_taken_over(gate).await?);
        }
        // And again, now that more is known of their health.
        self.check_capacity(checks, Some(&proven))?;
        if let Some(requests) = &checks.options.smoke {
            let report = |passed, failed, total| progress(Check::Smoke { passed, failed, total });
            let smoke = &self.inner.services.smoke;
            let tried =
                async { Ok(smoke::try_all(checks, requests, &proven, smoke, report).await?) };
            self.unless_taken_over(tried).await?;
        }
        Ok(Some(proven))
    }

    fn check_capacity(
        &self,
        checks: &Checks<'_>,
        proven: Option<&BTreeSet<BackendId>>,
    ) -> Result<(), CheckError> {
        if !checks.looks_at_capacity {
            return Ok(());
        }
        self.shortage(checks.live, checks.after, checks.steps, proven).map_or(Ok(()), Err)
    }

    /// What moves are refused for by capacity. Without `proven`, as far as is known before anything is probed.
    pub(super) fn shortage(
        &self,
        live: &Snapshot,
        after: &Snapshot,
        steps: &[SwitchStep],
        proven: Option<&BTreeSet<BackendId>>,
    ) -> Option<CheckError> {
        let options = self.options();
        let rule = capacity::Rule {
            percent: options.min_capacity_percent,
            most: options.max_requests_per_backend,
        };
        rule.shortage(live, after, steps, proven, &self.inner.services.peak)
    }
}

/// Reports checks as a switch does.
pub(super) fn reporting(
    progress: &(impl Fn(SwitchProgress) + Send + Sync),
) -> impl Fn(Check<'_>) + Send + Sync {
    |check| match check {
        Check::Probing { healthy, needed, total, .. } => {
            progress(SwitchProgress::Checking { healthy, needed, total });
        }
        Check::Smoke { passed, failed, total } => {
            progress(SwitchProgress::Smoke { passed, failed, total });
        }
    }
}
