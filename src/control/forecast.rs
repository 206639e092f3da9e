//! What a switch would do: worked out on one state, and bound to it.

use std::collections::BTreeSet;

use super::plan::{Plan, plan};
use super::token::PlanToken;
use super::{ControlError, ControlPlane, SwitchTarget, gate};
use crate::clock::whole_millis;
use crate::model::{
    BackendState, Capacity, DomainName, HealthStatus, PlannedBackend, PlannedStep, SwitchOptions,
    SwitchPlan, SwitchStep, Tag,
};
use crate::state::{BackendNode, Snapshot};

impl ControlPlane {
    /// Says what a switch would do, and changes nothing. Health is what is known now: nothing is
    /// probed for it.
    ///
    /// # Errors
    /// As [`Self::switch`], before its gate.
    pub(crate) fn plan_switch(
        &self,
        domains: &[DomainName],
        target: &SwitchTarget,
        options: SwitchOptions,
    ) -> Result<SwitchPlan, ControlError> {
        let snapshot = self.snapshot();
        let Plan { steps, unchanged } = plan(&snapshot, domains, target)?;
        let mut tags: Vec<&Tag> = Vec::new();
        for tag in steps.iter().flat_map(|step| [&step.from, &step.to]) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        let capacity: Vec<Capacity> = tags.iter().map(|tag| capacity(&snapshot, tag)).collect();
        let becomes_live: BTreeSet<&Tag> = steps.iter().map(|step| &step.to).collect();
        let mut forecast = SwitchPlan {
            revision: snapshot.revision(),
            steps: steps.iter().map(|step| planned_step(&snapshot, step)).collect(),
            unchanged,
            capacity,
            backends: becomes_live.iter().flat_map(|tag| backends(&snapshot, tag)).collect(),
            gate_timeout_ms: whole_millis(options.timeout().unwrap_or(self.options().gate_timeout)),
            drain_timeout_ms: (!options.no_drain).then(|| {
                whole_millis(options.drain_timeout().unwrap_or(self.options().drain_timeout))
            }),
            warnings: Vec::new(),
            token: None,
        };
        forecast.warnings = self.warnings(&forecast, options.force);
        if !steps.is_empty() {
            forecast.token = Some(PlanToken::new(&snapshot, steps, options).to_string());
        }
        Ok(forecast)
    }

    fn warnings(&self, plan: &SwitchPlan, force: bool) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        for domain in &plan.unchanged {
            warnings.push(format!("`{domain}` is there already"));
        }
        for step in &plan.steps {
            if let Some(phase) = self.switch_phase(&step.domain) {
                let domain = &step.domain;
                warnings.push(format!("another switch of `{domain}` is under way ({phase})"));
            }
        }
        let of = |tag: &Tag| plan.capacity.iter().find(|capacity| capacity.tag == *tag);
        let mut seen = BTreeSet::new();
        for step in plan.steps.iter().filter(|step| seen.insert((&step.from, &step.to))) {
            let (Some(before), Some(after)) = (of(&step.from), of(&step.to)) else { continue };
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
        warnings
    }
}

fn planned_step(snapshot: &Snapshot, step: &SwitchStep) -> PlannedStep {
    let leaves = snapshot.domain(&step.domain).and_then(|node| node.in_flight_on(&step.from));
    PlannedStep {
        domain: step.domain.clone(),
        from: step.from.clone(),
        to: step.to.clone(),
        requests: leaves.map_or(0, |in_flight| in_flight.count()),
        web_sockets: leaves.map_or(0, |in_flight| in_flight.web_sockets()),
    }
}

fn capacity(snapshot: &Snapshot, tag: &Tag) -> Capacity {
    let mut capacity = Capacity { tag: tag.clone(), total: 0, ready: 0, healthy: 0, weight: 0 };
    for node in nodes(snapshot, tag) {
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

fn backends(snapshot: &Snapshot, tag: &Tag) -> Vec<PlannedBackend> {
    let planned = |node: &BackendNode| PlannedBackend {
        id: node.backend.id.clone(),
        tag: tag.clone(),
        address: node.backend.address.clone(),
        weight: node.backend.options.weight,
        state: node.backend.state,
        health: node.live.health_report(),
        in_flight: node.live.in_flight(),
    };
    nodes(snapshot, tag).map(planned).collect()
}

fn nodes<'a>(snapshot: &'a Snapshot, tag: &Tag) -> impl Iterator<Item = &'a BackendNode> {
    snapshot.pool(tag).into_iter().flat_map(|pool| pool.backends()).map(|node| &**node)
}
