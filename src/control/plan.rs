//! What a switch would do: worked out on one state, and bound to it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::token::PlanToken;
use super::{ControlError, ControlPlane, SwitchOptions, SwitchTarget, find, gate};
use crate::clock::whole_millis;
use crate::model::{
    BackendState, Capacity, DomainName, HealthStatus, PlannedBackend, PlannedStep, SwitchPlan,
    SwitchStep, Tag, VirtualHost,
};
use crate::stable_hash::stable_hash;
use crate::state::{BackendNode, Snapshot};

/// The moves that a switch will make.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<SwitchStep>,
    pub(super) unchanged: Vec<DomainName>,
}

impl ControlPlane {
    /// Says what a switch would do, and changes nothing. Health is what is known now: nothing is
    /// probed for it.
    ///
    /// # Errors
    /// As [`Self::switch`], before its gate.
    pub fn plan_switch(
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
            gate_timeout_ms: whole_millis(options.timeout.unwrap_or(self.options().gate_timeout)),
            drain_timeout_ms: (!options.no_drain).then(|| {
                whole_millis(options.drain_timeout.unwrap_or(self.options().drain_timeout))
            }),
            warnings: Vec::new(),
            token: None,
        };
        forecast.warnings = self.warnings(&forecast, options.force);
        if !steps.is_empty() {
            let fingerprint = fingerprint(&snapshot, &steps);
            forecast.token = Some(PlanToken { steps, options, fingerprint }.to_string());
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
        let mut told = BTreeSet::new();
        for step in plan.steps.iter().filter(|step| told.insert((&step.from, &step.to))) {
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

/// Works out the moves.
pub(super) fn plan(
    snapshot: &Snapshot,
    domains: &[DomainName],
    target: &SwitchTarget,
) -> Result<Plan, ControlError> {
    if domains.is_empty() {
        return Err(ControlError::NoDomain);
    }
    let mut plan = Plan { steps: Vec::new(), unchanged: Vec::new() };
    let mut seen = BTreeSet::new();
    for name in domains {
        let virtual_host = &find::domain(snapshot, name)?.virtual_host;
        let domain = virtual_host.domain.clone();
        if !seen.insert(domain.clone()) {
            return Err(ControlError::NamedTwice { name: name.clone() });
        }
        let to = match target {
            SwitchTarget::Tag(tag) => tag.clone(),
            SwitchTarget::Other => other_tag(snapshot, virtual_host)?,
            SwitchTarget::Previous => virtual_host
                .previous
                .clone()
                .ok_or_else(|| ControlError::NothingToUndo { domain: domain.clone() })?,
        };
        if to == virtual_host.live {
            plan.unchanged.push(domain);
        } else {
            find::carried(snapshot, &to)?;
            plan.steps.push(SwitchStep { domain, from: virtual_host.live.clone(), to });
        }
    }
    Ok(plan)
}

/// The tag before; or, of a domain that was never switched, the only tag beside the live one.
fn other_tag(snapshot: &Snapshot, virtual_host: &VirtualHost) -> Result<Tag, ControlError> {
    if let Some(previous) = &virtual_host.previous
        && snapshot.pool(previous).is_some()
    {
        return Ok(previous.clone());
    }
    let known: Vec<Tag> = snapshot.tags().into_iter().cloned().collect();
    let mut others = known.iter().filter(|tag| **tag != virtual_host.live);
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(ControlError::NoOtherTag {
            domain: virtual_host.domain.clone(),
            live: virtual_host.live.clone(),
            previous: virtual_host.previous.clone(),
            known,
        }),
    }
}

/// Whether the state is still the one that the plan was made for: its domains as they were, and the
/// backends of the tags that they leave and join. Health moves all the time; the gate is for that.
pub(super) fn check(snapshot: &Snapshot, token: &PlanToken) -> Result<(), ControlError> {
    for step in &token.steps {
        let now = &find::domain(snapshot, &step.domain)?.virtual_host.live;
        if *now != step.from {
            let what = format!("`{}` is on `{now}` now, not on `{}`", step.domain, step.from);
            return Err(ControlError::PlanOutdated { what });
        }
    }
    if fingerprint(snapshot, &token.steps) == token.fingerprint {
        return Ok(());
    }
    let what = "its domains or the backends of their tags changed".to_owned();
    Err(ControlError::PlanOutdated { what })
}

/// A number for what a plan depends on: another state has another.
fn fingerprint(snapshot: &Snapshot, steps: &[SwitchStep]) -> u64 {
    let mut facts = Vec::new();
    for step in steps {
        let virtual_host = snapshot.domain(&step.domain).map(|node| &node.virtual_host);
        facts.push(json!(virtual_host));
        for tag in [&step.from, &step.to] {
            let pool = snapshot.pool(tag);
            for node in pool.into_iter().flat_map(|pool| pool.backends()) {
                facts.push(json!(node.backend));
            }
            facts.push(json!(tag));
        }
    }
    // A plan outlives a restart of the server.
    stable_hash(Value::from(facts).to_string().as_bytes())
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
                capacity.weight += u64::from(node.backend.weight.get());
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
        weight: node.backend.weight,
        state: node.backend.state,
        health: node.live.health_report(),
        in_flight: node.live.in_flight(),
    };
    nodes(snapshot, tag).map(planned).collect()
}

fn nodes<'a>(snapshot: &'a Snapshot, tag: &Tag) -> impl Iterator<Item = &'a BackendNode> {
    snapshot.pool(tag).into_iter().flat_map(|pool| pool.backends()).map(|node| &**node)
}
