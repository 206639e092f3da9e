//! What binds a plan to the state that it was made on.

use serde_json::{Value, json};

use super::{ControlError, find};
use crate::model::{PlannedSwitch, SwitchOptions, SwitchStep};
use crate::stable_hash::stable_hash;
use crate::state::Snapshot;

impl PlannedSwitch {
    /// A plan that was made on `snapshot`.
    pub(super) fn on(snapshot: &Snapshot, steps: Vec<SwitchStep>, options: SwitchOptions) -> Self {
        let fingerprint = fingerprint(snapshot, &steps);
        Self { steps, options, fingerprint }
    }

    /// Whether the state is still the one that the plan was made for: its domains as they were, and the
    /// backends of the tags that they leave and join. Health moves all the time; the gate is for that.
    pub(super) fn check(&self, snapshot: &Snapshot) -> Result<(), ControlError> {
        for step in &self.steps {
            let host = &find::domain(snapshot, &step.domain)?.virtual_host;
            let now = &host.live;
            if !host.live_tags().any(|tag| *tag == step.from) {
                let what = format!("`{}` is on `{now}` now, not on `{}`", step.domain, step.from);
                return Err(ControlError::PlanOutdated { what });
            }
        }
        if fingerprint(snapshot, &self.steps) == self.fingerprint {
            return Ok(());
        }
        let what = "its domains or the backends of their tags changed".to_owned();
        Err(ControlError::PlanOutdated { what })
    }
}

/// A number for what a plan depends on: another state has another.
fn fingerprint(snapshot: &Snapshot, steps: &[SwitchStep]) -> u64 {
    let mut facts = Vec::new();
    for step in steps {
        let virtual_host = snapshot.domain(&step.domain).map(|node| &node.virtual_host);
        facts.push(json!(virtual_host));
        for tag in [&step.from, &step.to] {
            let pool = virtual_host.and_then(|of| snapshot.pool(&of.pool(tag)));
            for node in pool.into_iter().flat_map(|pool| pool.backends()) {
                facts.push(json!(node.backend));
            }
            facts.push(json!(tag));
        }
    }
    // A plan outlives a restart of the server.
    stable_hash(Value::from(facts).to_string().as_bytes())
}
