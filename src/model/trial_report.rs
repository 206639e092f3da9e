//! What is known of a trial: for those who watch it, and for the history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DomainName, GuardOptions, GuardRules, RolloutSteps, Share, SwitchOptions, Tag, TrialEnd, worded,
};

/// What a rollout is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutOptions {
    /// Its steps.
    pub steps: RolloutSteps,
    /// How long a step may wait for enough requests after its own time, in milliseconds; then it counts as
    /// inconclusive. The default is an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
    /// Whether nothing judges the new tag: each step ends by its time alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unguarded: bool,
    /// By what the new tag is judged.
    #[serde(default)]
    pub guard: GuardOptions,
    /// How it is proven healthy, and drained.
    #[serde(default)]
    pub switch: SwitchOptions,
}

worded! {
    /// What a new tag is on trial in.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum TrialKind {
        /// A guard: it is live alone, and watched.
        Guard "guard",
        /// A rollout: its share grows step by step.
        Rollout "rollout",
    }
}

worded! {
    /// What the traffic says of a new tag.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Finding {
        /// It is worse.
        Fail "fail",
        /// It is no worse.
        Pass "pass",
        /// Nothing can be said yet.
        CannotTell "cannot_tell",
    }
}

/// A number that is known to lie between two others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Between {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What is observed of one of the two tags.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SideFigures {
    /// Requests that have ended.
    pub requests: u64,
    /// How many of those its backends failed.
    pub failures: u64,
    /// The share of those, in percent; absent if there were no requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_percent: Option<f64>,
    /// The 95th percentile of times to the first byte, in milliseconds; absent if it isn't known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
}

/// What speaks for a new tag and against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialEvidence {
    /// What was observed of the new tag.
    pub new: SideFigures,
    /// What was observed of the old one: at the same time in a rollout, before the switch under a guard.
    pub old: SideFigures,
    /// By how many points, in percent, the new tag's share of failures is above the old one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_delta_percent: Option<Between>,
    /// What it says.
    pub finding: Finding,
    /// Why, in words.
    pub reason: String,
}

/// Where a rollout is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutStanding {
    /// All its steps.
    pub steps: RolloutSteps,
    /// The number of the step that runs, from 1.
    pub step: usize,
    /// The share of the new tag.
    pub share: Share,
    /// Whether it is paused.
    pub is_paused: bool,
    /// In how many milliseconds the step's own time is over; 0 if it waits for more requests.
    pub left_ms: u64,
}

/// A trial as it is now, or as it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialReport {
    /// Its number, the same in the history.
    pub id: u64,
    /// What it is.
    pub kind: TrialKind,
    /// Its domains.
    pub domains: Vec<DomainName>,
    /// The tag to which a rollback goes.
    pub from: Tag,
    /// The tag that is on trial.
    pub to: Tag,
    /// By what it is judged; absent if it isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<GuardRules>,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// Where it is, if it is a rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStanding>,
    /// In how many milliseconds it is over, if it is a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// What speaks for the new tag and against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<TrialEvidence>,
    /// How it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<TrialEnd>,
    /// Why it ended so, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What happened in a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum TrialNews {
    /// A rollout began: the new tag has its first share.
    Started {
        /// Its steps.
        steps: RolloutSteps,
        /// The hooks that have agreed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<String>,
    },
    /// The share of the new tag grew.
    Stepped {
        /// To this.
        share: Share,
    },
    /// An operator has paused it.
    Paused,
    /// An operator has let it go on.
    Resumed,
    /// The new tag is worse, and the old one can't take its place: it is paused.
    Alarm {
        /// Why, in words.
        cause: String,
    },
    /// It ended.
    Ended {
        /// How.
        end: TrialEnd,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// A value of a newer version.
    #[serde(other)]
    Unknown,
}

impl TrialNews {
    /// Whether it makes another tag live.
    pub fn sets_live(&self) -> bool {
        matches!(self, Self::Ended { end: TrialEnd::Promoted | TrialEnd::RolledBack, .. })
    }
}
