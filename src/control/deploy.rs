//! The deploy: prove the new version, make it live in one step, drain the version before, keep it.
//!
//! The new backends are proven before they are in the state. So a deploy that fails, or is cut off at any
//! moment before its one commit, leaves nothing behind.

mod check;
mod plan;
mod standby;

use std::sync::Arc;
use std::time::Instant;

use super::checks::CheckError;
use super::claims::{Claim, Claimed};
use super::edit::Edit;
use super::left::Left;
use super::left_tags::LeftTags;
use super::plane::{Applied, off_the_runtime};
use super::trials::{Begin, trial_of};
use super::{Caller, ControlError, ControlPlane, files};
use crate::clock::{now_ms, whole_millis};
use crate::model::{
    Backend, Change, DeployOptions, DeployPlan, DeployProgress, DeployReport, EventKind, KeptPlan,
    Millis, Outcome, PlannedDeploy, RolloutOptions, SwitchEnd,
};
use crate::state::{BackendNode, ReadyMade, Snapshot};
use crate::tls::PeerFiles;
use plan::Plan;

/// How often a deploy is planned anew because others changed what it depends on while it was checked.
const ATTEMPTS: usize = 5;

impl ControlPlane {
    /// Makes a new version of an app live: proves its backends healthy, moves all domains of the app in one step,
    /// drains the version before and keeps it.
    ///
    /// The caller must see to it that this runs to its end even when nobody waits any more.
    ///
    /// # Errors
    /// When what is asked for does not fit, or the gate failed; then nothing has changed. What happens after the
    /// switch is in the report, not an error.
    pub(crate) async fn deploy(
        &self,
        caller: impl Into<Caller> + Send,
        options: DeployOptions,
        progress: impl Fn(DeployProgress) + Send + Sync,
    ) -> Result<DeployReport, ControlError> {
        self.carry_out_deploy(caller.into(), options, None, progress).await
    }

    async fn carry_out_deploy(
        &self,
        caller: Caller,
        options: DeployOptions,
        planned: Option<&PlannedDeploy>,
        progress: impl Fn(DeployProgress) + Send + Sync,
    ) -> Result<DeployReport, ControlError> {
        self.check_hooks(&options.switch.before)?;
        let mut claim = self.claim_apps(&options, &progress).await?;
        let snapshot = self.snapshot();
        caller.has_seen(snapshot.revision())?;
        let at_ms = now_ms();
        let first = plan::plan(&snapshot, &options, at_ms)?;
        planned.map_or(Ok(()), |planned| first.check(planned))?;
        if first.changes.is_empty() {
            return Ok(unchanged(&snapshot));
        }
        let started = Instant::now();
        let begin = match &options.rollout {
            Some(rollout) => Begin::steps(
                &RolloutOptions {
                    steps: rollout.steps.clone(),
                    max_wait_ms: rollout.max_wait_ms,
                    unguarded: false,
                    guard: options.switch.guard.clone().unwrap_or_default(),
                    switch: options.switch.clone(),
                },
                &self.inner.services.baseline,
            ),
            None => {
                Begin::whole(options.switch.guard.clone(), false, &self.inner.services.baseline)
            }
        };
        let operation = self.begin(caller.actor.clone(), first.event(not_yet(), &options)).await?;
        let committed = self
            .prove_and_commit(&caller, &options, planned, at_ms, operation, &begin, &progress)
            .await;
        let (plan, applied, left, gate_ms, switch_ms) = match committed {
            Ok(committed) => committed,
            // The process that has taken over has written to the history that it was cut off.
            Err(ControlError::TakenOver) => return Err(ControlError::TakenOver),
            Err(error) => {
                let outcome = Outcome::GateFailed { cause: error.to_string() };
                self.count_end(&first.steps, SwitchEnd::GateFailed);
                let event = first.event(outcome, &options);
                if let Err(unsaved) = self.end(operation, caller.actor, event).await {
                    tracing::error!(
                        error = unsaved.in_full(),
                        "a deploy that failed is not in the history"
                    );
                }
                return Err(error);
            }
        };
        let revision = applied.snapshot.revision();
        // Before it is reported: whoever sees the report may undo the deploy at once.
        claim.drains();
        progress(DeployProgress::Switched {
            apps: plan.apps.clone(),
            steps: plan.steps.clone(),
            revision,
            switch_ms,
        });
        let mut report = DeployReport {
            trial: trial_of(&applied.snapshot, &plan.steps, begin.id),
            apps: plan.apps.clone(),
            steps: plan.steps.clone(),
            revision,
            outcome: first_outcome(&options),
            gate_ms,
            switch_ms,
            drain_ms: 0,
            web_sockets: 0,
            ended_after_ms: None,
        };
        let tags = self.left_tags(&applied.snapshot, &plan.steps);
        report.ended_after_ms = tags.end_in(&applied.snapshot).map(whole_millis);
        if !options.switch.no_drain && options.rollout.is_none() {
            let draining = Instant::now();
            report.outcome = self.drain_left(&left, &tags, &options, &progress).await;
            report.web_sockets = tags.web_sockets(&self.snapshot());
            report.drain_ms = whole_millis(draining.elapsed());
            // The deploy is made and on the disk: it must not be reported as failed.
            if let Err(unsaved) = self.set_outcome(applied.event, report.outcome.clone()).await {
                tracing::error!(
                    error = unsaved.in_full(),
                    "the end of a drain is not in the history"
                );
            }
        }
        self.inner.metrics.switch_durations.count(started.elapsed());
        if let Some(end) = SwitchEnd::of(&report.outcome) {
            self.count_end(&report.steps, end);
        }
        if let Some(keep) = options.keep_ms.filter(|keep| *keep > 0 && !options.switch.no_drain) {
            self.keep_from_now(&plan.apps, keep).await;
            report.revision = self.snapshot().revision();
        }
        drop(claim);
        if options.keep_ms == Some(0) {
            self.remove_standbys().await;
            report.revision = self.snapshot().revision();
        }
        Ok(report)
    }

    /// Makes the deploy that [`Self::plan_deploy`] gave `token` for: that one and no other.
    ///
    /// # Errors
    /// When there is no such plan, and when it would do something else by now; otherwise as [`Self::deploy`].
    pub(crate) async fn deploy_as_planned(
        &self,
        caller: impl Into<Caller> + Send,
        token: &str,
        progress: impl Fn(DeployProgress) + Send + Sync,
    ) -> Result<DeployReport, ControlError> {
        let caller = caller.into();
        match self.kept_plan(token).await? {
            KeptPlan::Deploy(planned) => {
                let options = planned.options.clone();
                self.carry_out_deploy(caller, options, Some(&planned), progress).await
            }
            KeptPlan::Switch(_) => Err(ControlError::PlanOfOther { verb: "switch" }),
            KeptPlan::Unknown => Err(ControlError::NewerPlan),
        }
    }

    /// Says what a deploy would do, and keeps the plan to be applied. Nothing is probed for it.
    ///
    /// # Errors
    /// As [`Self::deploy`], before its gate.
    pub(crate) async fn plan_deploy(
        &self,
        caller: impl Into<Caller> + Send,
        options: DeployOptions,
    ) -> Result<DeployPlan, ControlError> {
        let snapshot = self.snapshot();
        let plan = plan::plan(&snapshot, &options, now_ms())?;
        self.check_hooks(&options.switch.before)?;
        let (switch, defaults) = (options.switch.clone(), self.options());
        let (_, _, next) = self.prepare(&caller.into(), &snapshot, &plan).await?;
        let shortage = self.shortage(&snapshot, &next, &plan.steps, None).filter(|_| !switch.force);
        let token = if plan.changes.is_empty() {
            None
        } else {
            let kept = KeptPlan::Deploy(Box::new(plan.kept(options)));
            Some(self.keep_plan(kept).await?)
        };
        Ok(DeployPlan {
            revision: snapshot.revision(),
            apps: plan.apps,
            steps: plan.steps,
            gate_timeout_ms: whole_millis(switch.timeout().unwrap_or(defaults.gate_timeout)),
            drain_timeout_ms: (!switch.no_drain)
                .then(|| whole_millis(switch.drain_timeout().unwrap_or(defaults.drain_timeout))),
            warnings: shortage.iter().map(CheckError::forecast).collect(),
            before: switch.before,
            token,
        })
    }

    /// Takes hold of the apps, after whoever has them where the caller waits for that.
    async fn claim_apps(
        &self,
        options: &DeployOptions,
        progress: &(impl Fn(DeployProgress) + Send + Sync),
    ) -> Result<Claim, ControlError> {
        let apps = || options.apps().into_iter().cloned().map(Claimed::App).collect::<Vec<_>>();
        let claims = &self.inner.claims;
        let mut is_told = false;
        loop {
            // Before it is tried: who lets go in between is not missed.
            let freed = claims.freed();
            // Its domains belong to it: a switch of one is under way where the claim of the steps fails.
            let snapshot = self.snapshot();
            let of_apps = options.apps().into_iter().filter_map(|app| snapshot.app(app));
            let domains = of_apps.flat_map(|node| node.domains().cloned().map(Claimed::Domain));
            match claims.take_for_deploy(apps().into_iter().chain(domains).collect()) {
                Ok(claim) => return Ok(claim),
                Err(error) if !options.wait => return Err(error),
                Err(_) if !is_told => {
                    progress(DeployProgress::Waiting { app: options.app.clone() });
                }
                Err(_) => {}
            }
            is_told = true;
            freed.await;
        }
    }

    /// Proves the new backends and commits. Where others change what the plan depends on, it is made anew.
    #[expect(clippy::too_many_arguments, reason = "each is another thing")]
    async fn prove_and_commit(
        &self,
        caller: &Caller,
        options: &DeployOptions,
        planned: Option<&PlannedDeploy>,
        at_ms: u64,
        operation: u64,
        begin: &Begin,
        progress: &(impl Fn(DeployProgress) + Send + Sync),
    ) -> Result<(Plan, Applied, Left, u64, Millis), ControlError> {
        let started = Instant::now();
        for _ in 0..ATTEMPTS {
            let live = self.snapshot();
            let plan = plan::plan(&live, options, at_ms)?;
            planned.map_or(Ok(()), |planned| plan.check(planned))?;
            let (files, ready_made, next) = self.prepare(caller, &live, &plan).await?;
            self.pass_deploy(caller, options, &live, &plan, &next, progress).await?;
            let gate_ms = whole_millis(started.elapsed());
            let switching = Instant::now();
            let (changes, event) =
                (plan.changes.clone(), plan.event(first_outcome(options), options));
            let (asked, mut caller, begin) = (options.clone(), caller.clone(), begin.clone());
            // It was looked at when the deploy began; what was changed since is compared below.
            caller.revisions = None;
            let (applied, before) = self
                .change_and(caller, move |now| {
                    let again = plan::plan(now, &asked, at_ms)?;
                    if again.changes != changes {
                        return Ok((None, None));
                    }
                    let changes = plan::begun(changes, now, &begin);
                    let edit = Edit {
                        files,
                        ready_made,
                        ends_operation: Some(operation),
                        ..Edit::new(changes, event)
                    };
                    Ok((Some(edit), Some(now.clone())))
                })
                .await?;
            if let (Some(applied), Some(before)) = (applied, before) {
                let switch_ms = Millis::from(switching.elapsed());
                let left = Left::of(&before, &applied.snapshot, &plan.changes);
                return Ok((plan, applied, left, gate_ms, switch_ms));
            }
        }
        Err(ControlError::Moved { what: options.app.to_string() })
    }

    /// Reads the files that the plan names, and builds the state after it, which is not published.
    async fn prepare(
        &self,
        caller: &Caller,
        live: &Arc<Snapshot>,
        plan: &Plan,
    ) -> Result<(PeerFiles, ReadyMade, Snapshot), ControlError> {
        let (live, reach) = (Arc::clone(live), self.options().reach.clone());
        let (errors, edit) =
            (caller.file_errors(), Edit::new(plan.changes.clone(), EventKind::Unknown));
        off_the_runtime(move || {
            let files = files::read(&reach, errors, &live, &edit)?;
            let revision = live.revision() + 1;
            let after = |ready_made: &ReadyMade| {
                live.after_reading(edit.changes.clone(), &files, ready_made, revision)
            };
            let unready = after(&ReadyMade::new());
            let ready_made = new_nodes(&live, &unready, &edit.changes, &files);
            let next = after(&ready_made);
            Ok((files, ready_made, next))
        })
        .await
    }

    /// Waits for the requests of the version before, and of older ones that were removed.
    async fn drain_left(
        &self,
        left: &Left,
        tags: &LeftTags<'_>,
        options: &DeployOptions,
        progress: &(impl Fn(DeployProgress) + Send + Sync),
    ) -> Outcome {
        let remaining = || left.remaining(&self.snapshot(), &self.inner.elsewhere);
        self.wait_until_drained(
            tags,
            remaining,
            &options.switch,
            |remaining, web_sockets, ended_in_ms| {
                progress(DeployProgress::Draining { remaining, web_sockets, ended_in_ms });
            },
        )
        .await
    }
}

/// What stands in the history if the server stops before the deploy has been committed.
fn not_yet() -> Outcome {
    let cause = "the server stopped while the new version was being checked".to_owned();
    Outcome::GateFailed { cause }
}

fn first_outcome(options: &DeployOptions) -> Outcome {
    match (&options.rollout, options.switch.no_drain) {
        (Some(_), _) => Outcome::Done,
        (None, true) => Outcome::NotDrained,
        (None, false) => Outcome::Draining,
    }
}

fn unchanged(snapshot: &Snapshot) -> DeployReport {
    DeployReport {
        trial: None,
        apps: Vec::new(),
        steps: Vec::new(),
        revision: snapshot.revision(),
        outcome: Outcome::Done,
        gate_ms: 0,
        switch_ms: Millis::default(),
        drain_ms: 0,
        web_sockets: 0,
        ended_after_ms: None,
    }
}

/// The new backends, of which nothing is known yet. `next` is the state with them.
fn new_nodes(live: &Snapshot, next: &Snapshot, changes: &[Change], files: &PeerFiles) -> ReadyMade {
    let put = changes.iter().filter_map(|change| match change {
        Change::PutBackend(backend) => Some(backend),
        _ => None,
    });
    let node = |backend: &Backend| {
        let app = backend.options.app.as_ref().and_then(|name| next.app(name));
        BackendNode::new(backend.clone(), app.map(|node| node.for_backends()), files)
    };
    // What is there already keeps what was observed of it.
    let new = put.filter(|backend| live.backend(&backend.id).is_none());
    new.map(|backend| (backend.id.clone(), Arc::new(node(backend)))).collect()
}
