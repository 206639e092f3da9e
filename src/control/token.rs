//! A plan as text that a client keeps: the server keeps none.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ControlError, SwitchOptions, find};
use crate::clock::whole_millis;
use crate::model::{DomainName, SwitchStep, Tag};
use crate::stable_hash::stable_hash;
use crate::state::Snapshot;

/// The moves of a plan, how they are to be made, and what they depend on.
#[derive(Debug, Clone)]
pub(super) struct PlanToken {
    pub(super) steps: Vec<SwitchStep>,
    pub(super) options: SwitchOptions,
    fingerprint: u64,
}

impl PlanToken {
    /// The token of a plan that was made on `snapshot`.
    pub(super) fn new(snapshot: &Snapshot, steps: Vec<SwitchStep>, options: SwitchOptions) -> Self {
        let fingerprint = fingerprint(snapshot, &steps);
        Self { steps, options, fingerprint }
    }

    /// Whether the state is still the one that the plan was made for: its domains as they were, and the
    /// backends of the tags that they leave and join. Health moves all the time; the gate is for that.
    pub(super) fn check(&self, snapshot: &Snapshot) -> Result<(), ControlError> {
        for step in &self.steps {
            let now = &find::domain(snapshot, &step.domain)?.virtual_host.live;
            if *now != step.from {
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

/// What the text holds: steps, then time-outs in milliseconds, no drain, forced, reason, fingerprint.
#[derive(Serialize, Deserialize)]
struct Held(Vec<(DomainName, Tag, Tag)>, Option<u64>, Option<u64>, u8, u8, Option<String>, u64);

impl fmt::Display for PlanToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SwitchOptions { timeout, drain_timeout, no_drain, force, reason } = &self.options;
        let step = |step: &SwitchStep| (step.domain.clone(), step.from.clone(), step.to.clone());
        let held = Held(
            self.steps.iter().map(step).collect(),
            timeout.map(whole_millis),
            drain_timeout.map(whole_millis),
            (*no_drain).into(),
            (*force).into(),
            reason.clone(),
            self.fingerprint,
        );
        f.write_str(&URL_SAFE_NO_PAD.encode(serde_json::to_string(&held).map_err(|_| fmt::Error)?))
    }
}

impl FromStr for PlanToken {
    type Err = ControlError;

    fn from_str(text: &str) -> Result<Self, ControlError> {
        let held = URL_SAFE_NO_PAD.decode(text.trim()).ok();
        let held = held.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Held(steps, timeout, drain_timeout, no_drain, force, reason, fingerprint) =
            held.ok_or(ControlError::NoPlanToken)?;
        Ok(Self {
            steps: steps
                .into_iter()
                .map(|(domain, from, to)| SwitchStep { domain, from, to })
                .collect(),
            options: SwitchOptions {
                timeout: timeout.map(Duration::from_millis),
                drain_timeout: drain_timeout.map(Duration::from_millis),
                no_drain: no_drain != 0,
                force: force != 0,
                reason,
            },
            fingerprint,
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_the_whole_plan_again() {
        let token = PlanToken {
            steps: vec![SwitchStep {
                domain: "example.com".parse().unwrap(),
                from: "a".parse().unwrap(),
                to: "b".parse().unwrap(),
            }],
            options: SwitchOptions {
                timeout: Some(Duration::from_millis(1500)),
                drain_timeout: None,
                no_drain: true,
                force: false,
                reason: Some("release 2".to_owned()),
            },
            fingerprint: u64::MAX,
        };
        let again: PlanToken = token.to_string().parse().unwrap();
        assert_eq!(format!("{again:?}"), format!("{token:?}"));
        for part in 1..token.to_string().len() {
            assert!(token.to_string()[..part].parse::<PlanToken>().is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_token_panic(text in "[A-Za-z0-9_=+ -]{0,80}") {
            let _ = text.parse::<PlanToken>();
        }
    }
}
