//! A plan as text that a client keeps: the server keeps none.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ControlError, SwitchOptions};
use crate::model::{DomainName, SwitchStep, Tag};

/// The moves of a plan, how they are to be made, and what they depend on.
#[derive(Debug, Clone)]
pub(super) struct PlanToken {
    pub(super) steps: Vec<SwitchStep>,
    pub(super) options: SwitchOptions,
    pub(super) fingerprint: u64,
}

/// What the text holds: steps, then time-outs in milliseconds, no drain, forced, reason, fingerprint.
#[derive(Serialize, Deserialize)]
struct Held(Vec<(DomainName, Tag, Tag)>, Option<u64>, Option<u64>, u8, u8, Option<String>, u64);

impl fmt::Display for PlanToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SwitchOptions { timeout, drain_timeout, no_drain, force, reason } = &self.options;
        let millis = |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let step = |step: &SwitchStep| (step.domain.clone(), step.from.clone(), step.to.clone());
        let held = Held(
            self.steps.iter().map(step).collect(),
            timeout.as_ref().map(millis),
            drain_timeout.as_ref().map(millis),
            (*no_drain).into(),
            (*force).into(),
            reason.clone(),
            self.fingerprint,
        );
        f.write_str(&to_text(serde_json::to_string(&held).map_err(|_| fmt::Error)?.as_bytes()))
    }
}

impl FromStr for PlanToken {
    type Err = ControlError;

    fn from_str(text: &str) -> Result<Self, ControlError> {
        let held = from_text(text.trim()).and_then(|bytes| serde_json::from_slice(&bytes).ok());
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

/// Letters that go through URLs and shells as they are (RFC 4648 §5).
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `base64url` without padding.
fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0, |group, byte| group << 8 | usize::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for letter in 0..=chunk.len() {
            text.push(char::from(LETTERS[group >> (18 - 6 * letter) & 63]));
        }
    }
    text
}

fn from_text(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0_u32;
        for letter in chunk {
            let value = LETTERS.iter().position(|known| known == letter)?;
            group = group << 6 | u32::try_from(value).ok()?;
        }
        let group = (group << (6 * (4 - chunk.len()))).to_be_bytes();
        // One letter alone holds no byte.
        bytes.extend_from_slice(&group[1..=chunk.len().checked_sub(1).filter(|bytes| *bytes > 0)?]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_standards() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob>?", "Zm9vYj4_")]
        {
            assert_eq!(to_text(bytes.as_bytes()), text);
            assert_eq!(from_text(text), Some(bytes.as_bytes().to_vec()));
        }
        for text in ["Z", "Zm9vY", "Zm 9", "Zg=="] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

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

        #[test]
        fn every_byte_comes_back(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(from_text(&to_text(&bytes)), Some(bytes));
        }
    }
}
