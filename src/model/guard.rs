//! How a new tag is judged by its own traffic.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ratio, Seconds, Share, worded};

worded! {
    /// What becomes of a new tag of which the traffic doesn't say whether it is worse.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Inconclusive read as "choice" {
        /// It stays.
        #[default]
        Keep "keep",
        /// The old one comes back.
        Rollback "rollback",
    }
}

/// How a new tag is judged by its own traffic. What is not given is as its app says, or else the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GuardOptions {
    /// How long a switch or a deploy is watched, in seconds; 0 means that it isn't. Without it, it isn't. A rollout
    /// is watched at each of its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_secs: Option<Seconds<true>>,
    /// By how many points, in percent, the share of requests that the new tag's backends fail may be above the
    /// old tag's. The default is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_delta: Option<Share>,
    /// How many times as long as the old tag's the new tag's 95th percentile of times to the first byte may be.
    /// The default is 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_p95_ratio: Option<Ratio>,
    /// How many requests of the new tag it takes to say that it is no worse. The default is 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<NonZeroU32>,
    /// What becomes of the new tag when its traffic doesn't say: `keep` or `rollback`. The default is `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<Inconclusive>,
}

impl GuardOptions {
    /// These, where what is not given is as `below` says.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        Self {
            time_secs: self.time_secs.or(below.time_secs),
            max_error_delta: self.max_error_delta.or(below.max_error_delta),
            max_p95_ratio: self.max_p95_ratio.or(below.max_p95_ratio),
            min_requests: self.min_requests.or(below.min_requests),
            inconclusive: self.inconclusive.or(below.inconclusive),
        }
    }

    /// The rules, with the defaults for what is not given.
    pub fn rules(&self) -> GuardRules {
        let standard = GuardRules::default();
        GuardRules {
            max_error_delta: self.max_error_delta.unwrap_or(standard.max_error_delta),
            max_p95_ratio: self.max_p95_ratio.unwrap_or(standard.max_p95_ratio),
            min_requests: self.min_requests.unwrap_or(standard.min_requests),
            inconclusive: self.inconclusive.unwrap_or(standard.inconclusive),
        }
    }
}

/// By what a new tag is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardRules {
    /// How far its share of failed requests may be above the old one's, in points of percent.
    pub max_error_delta: Share,
    /// How many times as long its 95th percentile may be.
    pub max_p95_ratio: Ratio,
    /// How many requests it takes to say that it is no worse.
    pub min_requests: NonZeroU32,
    /// What becomes of it when nothing can be said.
    pub inconclusive: Inconclusive,
}

impl Default for GuardRules {
    fn default() -> Self {
        Self {
            max_error_delta: Share::of_parts(10_000),
            max_p95_ratio: Ratio::ONE_AND_A_HALF,
            min_requests: const { NonZeroU32::new(100).unwrap() },
            inconclusive: Inconclusive::default(),
        }
    }
}
