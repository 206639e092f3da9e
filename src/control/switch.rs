//! The switch: check, switch, drain.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use super::ask::Proposal;
use super::checks::{Checks, reporting};
use super::edit::Edit;
use super::left_tags::LeftTags;
use super::plan::{Plan, SwitchTarget};
use super::splits::check_proven;
use super::trials::{Begin, check_free};
use super::{Caller, ControlError, ControlPlane, find, plan, trials};
use crate::clock::whole_millis;
use crate::model::{
    Actor, BackendId, Change, DomainName, EventKind, KeptPlan, Millis, Outcome, PlannedSwitch,
    PoolName, SwitchEnd, SwitchOptions, SwitchProgress, SwitchReport, SwitchStep, TrialNews,
};
use crate::state::Snapshot;

impl ControlPlane {
    /// Moves domains to another tag: proves it healthy, switches all in one step, drains the old.
    ///
    /// The caller must see to it that this runs to its end even when nobody waits any more.
    ///
    /// # Errors
    /// When the domains can't move there, or the gate failed; then nothing has changed. What happens
    /// after the switch is in the report, not an error.
    pub(crate) async fn switch(
        &self,
        caller: impl Into<Caller> + Send,
        domains: Vec<DomainName>,
        target: SwitchTarget,
        options: SwitchOptions,
        progress: impl Fn(SwitchProgress) + Send + Sync,
    ) -> Result<SwitchReport, ControlError> {
        let caller = caller.into();
        let snapshot = self.snapshot();
        // And again when it switches: this one only spares the probes.
        caller.has_seen(snapshot.revision())?;
        let plan = plan::plan(&snapshot, &domains, &target)?;
        let undo = matches!(target, SwitchTarget::Previous);
        if plan.steps.is_empty() {
            return Ok(unchanged(&snapshot, plan));
        }
        if !options.force {
            self.refuse_foreign(&snapshot, &plan.steps).await?;
        }
        let begin = Begin::whole(options.guard.clone(), undo, &self.inner.services.baseline);
        self.carry_out(caller, plan, undo, options, None, begin, progress).await
    }

    /// Makes the switch that [`Self::plan_switch`] gave `token` for: that one and no other.
    ///
    /// # Errors
    /// When there is no plan of that token, and when what it depends on has changed; otherwise as
    /// [`Self::switch`].
    pub(crate) async fn switch_as_planned(
        &self,
        caller: impl Into<Caller> + Send,
        token: &str,
        progress: impl Fn(SwitchProgress) + Send + Sync,
    ) -> Result<SwitchReport, ControlError> {
        let planned = match self.kept_plan(token).await? {
            KeptPlan::Switch(planned) => planned,
            KeptPlan::Deploy(_) => return Err(ControlError::PlanOfOther { verb: "deploy" }),
            KeptPlan::Unknown => return Err(ControlError::NewerPlan),
        };
        planned.check(&self.snapshot())?;
        let plan = Plan { steps: planned.steps.clone(), unchanged: Vec::new() };
        let options = planned.options.clone();
        let begin = Begin::whole(options.guard.clone(), false, &self.inner.services.baseline);
        self.carry_out(caller.into(), plan, false, options, Some(planned), begin, progress).await
    }

    /// A domain in no app is not moved to the backends of another one by a slip of the fingers.
    pub(super) async fn refuse_foreign(
        &self,
        snapshot: &Snapshot,
        steps: &[SwitchStep],
    ) -> Result<(), ControlError> {
        let Some((step, other)) = plan::foreign(snapshot, steps) else { return Ok(()) };
        if self.has_served(step.domain.clone(), step.to.clone()).await? {
            return Ok(());
        }
        Err(ControlError::ForeignTag {
            domain: step.domain.clone(),
            tag: step.to.clone(),
            other: other.clone(),
        })
    }

    /// Makes a switch, or begins a rollout: `begin` says how the new tag becomes live.
    #[expect(clippy::too_many_arguments, reason = "each is another thing")]
    pub(super) async fn carry_out(
        &self,
        caller: Caller,
        plan: Plan,
        undo: bool,
        options: SwitchOptions,
        planned: Option<PlannedSwitch>,
        begin: Begin,
        progress: impl Fn(SwitchProgress) + Send + Sync,
    ) -> Result<SwitchReport, ControlError> {
        self.check_hooks(&options.before)?;
        let mut claim = self.inner.claims.take(&plan.steps, undo)?;
        let started = Instant::now();
        let event = |outcome, reason: &SwitchOptions| EventKind::Switch {
            steps: plan.steps.clone(),
            outcome,
            undo,
            forced: reason.force,
            reason: reason.reason.clone(),
            before: reason.before.clone(),
        };
        let command = if begin.rollout().is_some() { "rollout" } else { "switch" };
        let passed = self.pass(command, &caller.actor, &plan.steps, undo, &options, &progress);
        let proven = match passed.await {
            Ok(proven) => proven,
            // It is not this process that writes the history.
            Err(ControlError::TakenOver) => return Err(ControlError::TakenOver),
            Err(error) => {
                self.count_end(&plan.steps, SwitchEnd::GateFailed);
                let outcome = Outcome::GateFailed { cause: error.to_string() };
                // The operator must see why it failed, even if it can't be written to the history.
                if let Err(unsaved) = self.record(caller.actor, event(outcome, &options)).await {
                    tracing::error!(
                        error = unsaved.in_full(),
                        "a failed gate is not in the history"
                    );
                }
                return Err(error);
            }
        };
        let gate_ms = whole_millis(started.elapsed());

        let switching = Instant::now();
        let is_rollout = begin.rollout().is_some();
        let first = match (is_rollout, options.no_drain) {
            (true, _) => Outcome::Done,
            (false, true) => Outcome::NotDrained,
            (false, false) => Outcome::Draining,
        };
        let edit = event(first.clone(), &options);
        let steps = plan.steps.clone();
        let (percent, trial) = (self.options().min_healthy_percent, begin.id);
        let committed = self
            .change(caller, move |snapshot| {
                // Again, now that nobody else can change the state.
                planned.as_ref().map_or(Ok(()), |planned| planned.check(snapshot))?;
                commit(snapshot, &steps, proven.as_ref(), percent, edit, &begin).map(Some)
            })
            .await
            .and_then(|applied| applied.ok_or(ControlError::Stopping));
        let applied = match committed {
            Ok(applied) => applied,
            Err(error) => {
                self.count_end(&plan.steps, SwitchEnd::Failed);
                return Err(error);
            }
        };
        let switch_ms = Some(switching.elapsed().into());
        let revision = applied.snapshot.revision();
        // Before it is reported: whoever sees the report may undo the switch at once.
        claim.drains();
        progress(SwitchProgress::Switched { steps: plan.steps.clone(), revision, switch_ms });

        let mut report = SwitchReport {
            steps: plan.steps,
            unchanged: plan.unchanged,
            revision,
            outcome: first,
            gate_ms,
            switch_ms,
            drain_ms: 0,
            trial: None,
            web_sockets: 0,
            ended_after_ms: None,
        };
        report.trial = trials::trial_of(&applied.snapshot, &report.steps, trial);
        if is_rollout {
            return Ok(report);
        }
        let left = self.left_tags(&applied.snapshot, &report.steps);
        report.ended_after_ms = left.end_in(&applied.snapshot).map(whole_millis);
        if !options.no_drain {
            let draining = Instant::now();
            report.outcome = self.drain(&left, &options, &progress).await;
            report.drain_ms = whole_millis(draining.elapsed());
            report.web_sockets = left.web_sockets(&self.snapshot());
            // The switch is made and on the disk: it must not be reported as failed.
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
        Ok(report)
    }

    /// Counts how the move of each domain ended.
    pub(super) fn count_end(&self, steps: &[SwitchStep], end: SwitchEnd) {
        let snapshot = self.snapshot();
        for node in steps.iter().filter_map(|step| snapshot.domain(&step.domain)) {
            node.switches().count(end);
        }
    }

    /// Checks every tag that becomes live, and asks the hooks. `None` when the checks were skipped.
    async fn pass(
        &self,
        command: &'static str,
        actor: &Actor,
        steps: &[SwitchStep],
        undo: bool,
        options: &SwitchOptions,
        progress: &(impl Fn(SwitchProgress) + Send + Sync),
    ) -> Result<Option<BTreeSet<BackendId>>, ControlError> {
        let proven = self.pass_gate(steps, undo, options, progress).await?;
        if options.before.is_empty() {
            return Ok(proven);
        }
        let (apps, proven) = (Value::Null, proven.as_ref());
        self.ask_hooks(options, &Proposal { command, actor, steps, apps, proven }).await?;
        // A hook may take its time, and a backend may have failed meanwhile.
        self.pass_gate(steps, undo, &options.without_smoke(), progress).await
    }

    /// Checks every tag that becomes live. `None` when the checks were skipped.
    async fn pass_gate(
        &self,
        steps: &[SwitchStep],
        undo: bool,
        options: &SwitchOptions,
        progress: &(impl Fn(SwitchProgress) + Send + Sync),
    ) -> Result<Option<BTreeSet<BackendId>>, ControlError> {
        let snapshot = self.snapshot();
        let pools: Vec<PoolName> = plan::joined(&snapshot, steps)?.into_iter().collect();
        let checks = Checks {
            live: &snapshot,
            after: &snapshot,
            steps,
            new: &[],
            pools: &pools,
            looks_at_capacity: !undo,
            options,
            deadline: self.gate_deadline(options),
        };
        self.pass_checks(&checks, &reporting(progress)).await
    }

    /// When a gate that opens now closes.
    pub(super) fn gate_deadline(&self, options: &SwitchOptions) -> Instant {
        Instant::now() + options.timeout().unwrap_or(self.options().gate_timeout)
    }

    /// Waits for the requests of the tags that were left.
    async fn drain(
        &self,
        left: &LeftTags<'_>,
        options: &SwitchOptions,
        progress: &(impl Fn(SwitchProgress) + Send + Sync),
    ) -> Outcome {
        let remaining = || left.requests(&self.snapshot());
        self.wait_until_drained(left, remaining, options, |remaining, web_sockets, ended_in_ms| {
            progress(SwitchProgress::Draining { remaining, web_sockets, ended_in_ms });
        })
        .await
    }
}

fn unchanged(snapshot: &Snapshot, plan: Plan) -> SwitchReport {
    SwitchReport {
        steps: plan.steps,
        unchanged: plan.unchanged,
        revision: snapshot.revision(),
        outcome: Outcome::Done,
        gate_ms: 0,
        switch_ms: Some(Millis::default()),
        drain_ms: 0,
        trial: None,
        web_sockets: 0,
        ended_after_ms: None,
    }
}

/// The edit that switches, if what was planned and proven still holds.
fn commit(
    snapshot: &Snapshot,
    steps: &[SwitchStep],
    proven: Option<&BTreeSet<BackendId>>,
    percent: u8,
    event: EventKind,
    begin: &Begin,
) -> Result<Edit, ControlError> {
    let (mut changes, mut domains, mut trial) = (Vec::new(), BTreeSet::new(), None);
    for step in steps {
        let before = &find::domain(snapshot, &step.domain)?.virtual_host;
        let is_left = before.live_tags().any(|tag| *tag == step.from);
        if !is_left || before.domain != step.domain {
            return Err(ControlError::Moved { what: step.domain.to_string() });
        }
        check_proven(snapshot, &before.pool(&step.to), proven, percent)?;
        if begin.rollout().is_some() {
            check_free(before)?;
        }
        // A domain that leaves several tags has a step for each of them.
        if domains.insert(step.domain.clone()) {
            let app = before.app().and_then(|app| snapshot.app(app)).map(|node| &node.app.options);
            let next = begin.on(before, &step.to, app);
            trial = trial.or_else(|| next.beside.trial.clone());
            changes.push(Change::PutDomain(next));
        }
    }
    let event = match (begin.rollout(), &trial) {
        (Some(rollout), Some(trial)) => {
            let before = event.hooks().to_vec();
            let news = TrialNews::Started { steps: rollout.clone(), before };
            trials::event(trial, domains.into_iter().collect(), news)
        }
        _ => event,
    };
    Ok(Edit::new(changes, event))
}
