//! A plan as text that a client keeps: the server keeps none.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ControlError, find};
use crate::model::{SwitchOptions, SwitchStep};
use crate::stable_hash::stable_hash;
use crate::state::Snapshot;

/// The moves of a plan, how they are to be made, and what they depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

impl fmt::Display for PlanToken {
    /// As letters that go through URLs and shells as they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for PlanToken {
    type Err = ControlError;

    fn from_str(text: &str) -> Result<Self, ControlError> {
        let json = BASE64_URL_SAFE_NO_PAD.decode(text.trim()).ok();
        json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or(ControlError::NoPlanToken)
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

    fn token() -> PlanToken {
        PlanToken {
            steps: vec![SwitchStep {
                domain: "example.com".parse().unwrap(),
                from: "a".parse().unwrap(),
                to: "b".parse().unwrap(),
            }],
            options: SwitchOptions {
                timeout_ms: Some(1500),
                no_drain: true,
                reason: Some("release 2".to_owned()),
                ..SwitchOptions::default()
            },
            fingerprint: u64::MAX,
        }
    }

    #[test]
    fn a_token_that_was_given_once_says_the_same_for_ever() {
        let text = "eyJzdGVwcyI6W3siZG9tYWluIjoiZXhhbXBsZS5jb20iLCJmcm9tIjoiYSIsInRvIjoiYiJ9XSwib3B0aW9ucyI6\
                    eyJ0aW1lb3V0X21zIjoxNTAwLCJkcmFpbl90aW1lb3V0X21zIjpudWxsLCJub19kcmFpbiI6dHJ1ZSwiZm9yY2Ui\
                    OmZhbHNlLCJyZWFzb24iOiJyZWxlYXNlIDIifSwiZmluZ2VycHJpbnQiOjE4NDQ2NzQ0MDczNzA5NTUxNjE1fQ";
        assert_eq!(token().to_string(), text);
        assert_eq!(format!(" {text}\n").parse::<PlanToken>().unwrap(), token());
    }

    #[test]
    fn a_part_of_a_token_is_none() {
        let text = token().to_string();
        for part in 0..text.len() {
            assert!(text[..part].parse::<PlanToken>().is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_token_panic(text in "[A-Za-z0-9_=+ -]{0,80}") {
            let _ = text.parse::<PlanToken>();
        }
    }
}
