//! What a switch would do: worked out on one state, and bound to it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::checks::CheckError;
use super::plan::{Plan, joined, plan};
use super::{ControlError, ControlPlane, SwitchTarget, find, gate};
use crate::clock::{now_ms, whole_millis};
use crate::model::{
    BackendState, Capacity, DomainName, HealthStatus, KeptPlan, PlannedBackend, PlannedEnd,
    PlannedStep, PlannedSwitch, PoolName, SwitchOptions, SwitchPlan, SwitchStep, Tag, shorten,
    time_in_words,
};
use crate::state::{BackendNode, Snapshot};

/// The characters of an unknown token that an error repeats.
const MAX_TOKEN_CHARS: usize = 32;

/// How long the last WebSockets may take to close.
const CLOSE_MARGIN_MS: u64 = 10_000;

impl ControlPlane {
    /// Says what a switch would do, and keeps the plan to be applied. Health is what is known now: nothing
    /// is probed for it.
    ///
    /// # Errors
    /// As [`Self::switch`], before its gate, and when the plan can't be saved.
    pub(crate) async fn plan_switch(
        &self,
        domains: &[DomainName],
        target: &SwitchTarget,
        options: SwitchOptions,
    ) -> Result<SwitchPlan, ControlError> {
        let snapshot = self.snapshot();
        let Plan { steps, unchanged } = plan(&snapshot, domains, target)?;
        self.check_hooks(&options.before)?;
        if !options.force {
            self.refuse_foreign(&snapshot, &steps).await?;
        }
        let mut pools: Vec<PoolName> = Vec::new();
        for step in &steps {
            let of = &find::domain(&snapshot, &step.domain)?.virtual_host;
            for pool in [of.pool(&step.from), of.pool(&step.to)] {
                if !pools.contains(&pool) {
                    pools.push(pool);
                }
            }
        }
        let capacity: Vec<Capacity> = pools.iter().map(|pool| capacity(&snapshot, pool)).collect();
        let becomes_live = joined(&snapshot, &steps)?;
        let mut forecast = SwitchPlan {
            revision: snapshot.revision(),
            steps: steps.iter().map(|step| planned_step(&snapshot, step)).collect(),
            unchanged,
            capacity,
            backends: becomes_live.iter().flat_map(|pool| backends(&snapshot, pool)).collect(),
            gate_timeout_ms: whole_millis(options.timeout().unwrap_or(self.options().gate_timeout)),
            drain_timeout_ms: (!options.no_drain).then(|| {
                whole_millis(options.drain_timeout().unwrap_or(self.options().drain_timeout))
            }),
            before: options.before.clone(),
            warnings: Vec::new(),
            token: None,
        };
        forecast.warnings = self.warnings(&forecast, options.force);
        if !options.force && !matches!(target, SwitchTarget::Previous) {
            let shortage = self.shortage(&snapshot, &snapshot, &steps, None);
            forecast.warnings.extend(shortage.as_ref().map(CheckError::forecast));
        }
        if !steps.is_empty() {
            let plan = KeptPlan::Switch(PlannedSwitch::on(&snapshot, steps, options));
            forecast.token = Some(self.keep_plan(plan).await?);
        }
        Ok(forecast)
    }

    /// Keeps a plan to be applied, and returns its token.
    pub(super) async fn keep_plan(&self, plan: KeptPlan) -> Result<String, ControlError> {
        self.with_writer(move |writer, _| Ok(writer.store.keep_plan(&plan, now_ms())?)).await
    }

    /// The plan of a token.
    ///
    /// # Errors
    /// When there is none, or none any more.
    pub(super) async fn kept_plan(&self, token: &str) -> Result<KeptPlan, ControlError> {
        let own = token.to_owned();
        let found =
            self.with_writer(move |writer, _| Ok(writer.store.plan(&own, now_ms())?)).await?;
        found.ok_or_else(|| ControlError::UnknownPlan { token: shorten(token, MAX_TOKEN_CHARS) })
    }

    fn warnings(&self, plan: &SwitchPlan, force: bool) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        for domain in &plan.unchanged {
            warnings.push(format!("`{domain}` is there already"));
        }
        for step in &plan.steps {
            if let Some(under_way) = self.under_way(&step.domain) {
                let (domain, what, phase) = (&step.domain, under_way.what, under_way.phase());
                warnings.push(format!("another {what} of `{domain}` is under way ({phase})"));
            }
        }
        let of = |step: &PlannedStep, tag: &Tag| {
            let is_it = |of: &&Capacity| of.app == step.app && of.tag == *tag;
            plan.capacity.iter().find(is_it)
        };
        let mut seen = BTreeSet::new();
        for step in plan.steps.iter().filter(|step| seen.insert((&step.app, &step.from, &step.to)))
        {
            let (Some(before), Some(after)) = (of(step, &step.from), of(step, &step.to)) else {
                continue;
            };
            let Capacity { tag, ready, healthy, .. } = after;
            let needed = gate::needed(*ready, self.options().min_healthy_percent);
            if *ready == 0 {
                warnings.push(format!("no backend of `{tag}` is ready: it would be refused"));
            } else if force {
                warnings.push(format!("the gate is skipped; {healthy} of {ready} are healthy"));
            } else if *healthy < needed {
                warnings.push(format!(
                    "{healthy} of {ready} ready backends of `{tag}` are healthy and {needed} must \
                     be: the gate would fail as it is now"
                ));
            } else if healthy < ready {
                warnings
                    .push(format!("{healthy} of {ready} ready backends of `{tag}` are healthy"));
            }
            if after.weight < before.weight {
                warnings.push(format!(
                    "`{tag}` has less capacity than `{}`: healthy weight {} after {}",
                    before.tag, after.weight, before.weight
                ));
            }
        }
        warnings.extend(plan.steps.iter().filter_map(|step| late_end(step, plan.drain_timeout_ms)));
        warnings
    }
}

/// What to think about where the drain would be over before the last WebSocket has ended.
fn late_end(step: &PlannedStep, drain_timeout_ms: Option<u64>) -> Option<String> {
    let (end, drain_ms) = (step.ends?, drain_timeout_ms?);
    (step.web_sockets > 0 && end.last_ms >= drain_ms).then(|| {
        let time = |ms| time_in_words(Duration::from_millis(ms));
        format!(
            "the last WebSocket of `{}` is closed {} after the switch, and the drain is over after {}: \
             give `--drain-timeout {}`",
            step.domain,
            time(end.last_ms),
            time(drain_ms),
            time(end.last_ms + CLOSE_MARGIN_MS).replace(' ', ""),
        )
    })
}

fn planned_step(snapshot: &Snapshot, step: &SwitchStep) -> PlannedStep {
    let node = snapshot.domain(&step.domain);
    let leaves = node.and_then(|node| node.in_flight_on(&step.from));
    PlannedStep {
        domain: step.domain.clone(),
        app: node.and_then(|node| node.virtual_host.app()).cloned(),
        from: step.from.clone(),
        to: step.to.clone(),
        requests: leaves.map_or(0, |in_flight| in_flight.count()),
        web_sockets: leaves.map_or(0, |in_flight| in_flight.web_sockets()),
        ends: snapshot.domain(&step.domain).and_then(|node| node.times().close_left).map(|after| {
            PlannedEnd {
                first_ms: whole_millis(after.after()),
                last_ms: whole_millis(after.in_all()),
            }
        }),
    }
}

fn capacity(snapshot: &Snapshot, pool: &PoolName) -> Capacity {
    let PoolName { app, tag } = pool.clone();
    let mut capacity = Capacity { tag, app, total: 0, ready: 0, healthy: 0, weight: 0 };
    for node in nodes(snapshot, pool) {
        capacity.total += 1;
        if node.backend.state == BackendState::Ready {
            capacity.ready += 1;
            if node.live.health() == HealthStatus::Healthy {
                capacity.healthy += 1;
                capacity.weight += u64::from(node.backend.options.weight.get());
            }
        }
    }
    capacity
}

fn backends(snapshot: &Snapshot, pool: &PoolName) -> Vec<PlannedBackend> {
    let planned = |node: &BackendNode| PlannedBackend {
        id: node.backend.id.clone(),
        tag: pool.tag.clone(),
        address: node.backend.address.clone(),
        weight: node.backend.options.weight,
        state: node.backend.state,
        health: node.live.health_report(),
        in_flight: node.live.in_flight(),
    };
    nodes(snapshot, pool).map(planned).collect()
}

fn nodes<'a>(snapshot: &'a Snapshot, pool: &PoolName) -> impl Iterator<Item = &'a BackendNode> {
    snapshot.pool(pool).into_iter().flat_map(|pool| pool.backends()).map(|node| &**node)
}
