//! What a new version must pass before it is live.

use std::collections::BTreeSet;

use super::plan::Plan;
use crate::control::checks::{Check, Checks};
use crate::control::{Caller, ControlError, ControlPlane};
use crate::model::{
    AppName, BackendId, Change, DeployOptions, DeployProgress, PoolName, SwitchOptions,
};
use crate::state::Snapshot;

impl ControlPlane {
    /// Checks the new backends, and asks the hooks. `next` is the state with the new backends.
    pub(super) async fn pass_deploy(
        &self,
        caller: &Caller,
        options: &DeployOptions,
        live: &Snapshot,
        plan: &Plan,
        next: &Snapshot,
        progress: &(impl Fn(DeployProgress) + Send + Sync),
    ) -> Result<(), ControlError> {
        let switch = &options.switch;
        let proven = self.check(live, plan, next, &options.app, switch, progress).await?;
        if switch.before.is_empty() {
            return Ok(());
        }
        self.ask_about_deploy(caller, options, &plan.apps, &plan.steps, proven.as_ref()).await?;
        // A hook may take its time, and a backend may have failed meanwhile.
        let again = switch.without_smoke();
        self.check(live, plan, next, &options.app, &again, progress).await.map(drop)
    }

    async fn check(
        &self,
        live: &Snapshot,
        plan: &Plan,
        next: &Snapshot,
        of: &AppName,
        switch: &SwitchOptions,
        progress: &(impl Fn(DeployProgress) + Send + Sync),
    ) -> Result<Option<BTreeSet<BackendId>>, ControlError> {
        let new = plan.apps.iter().filter(|of| !of.backends_added.is_empty());
        let pools: Vec<_> = new.map(|of| PoolName::new(Some(&of.app), &of.to)).collect();
        let added: Vec<_> = plan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::PutDomain(host) if live.domain(&host.domain).is_none() => {
                    Some((host.domain.clone(), host.live.clone()))
                }
                _ => None,
            })
            .collect();
        let checks = Checks {
            live,
            after: next,
            steps: &plan.steps,
            new: &added,
            pools: &pools,
            looks_at_capacity: true,
            options: switch,
            deadline: self.gate_deadline(switch),
        };
        let report = |check: Check<'_>| match check {
            Check::Probing { pool: PoolName { app, tag }, healthy, needed, total } => {
                let app = app.as_ref().unwrap_or(of).clone();
                progress(DeployProgress::Checking {
                    app,
                    tag: tag.clone(),
                    healthy,
                    needed,
                    total,
                });
            }
            Check::Smoke { passed, failed, total } => {
                progress(DeployProgress::Smoke { passed, failed, total });
            }
        };
        self.pass_checks(&checks, &report).await
    }
}
