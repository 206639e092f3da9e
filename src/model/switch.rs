//! The options of a switch, and what it reports while it runs and when it ends.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AppName, BackendAddr, BackendId, BackendState, DomainName, GuardOptions, HealthReport, Millis,
    Outcome, SmokeRequests, Tag, Weight, nonzero_millis, worded,
};

/// The options of a switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchOptions {
    /// How long the new tag may take to become healthy. The default is `gate_timeout_secs` of `[switch]`.
    #[serde(default, deserialize_with = "nonzero_millis")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// How long the old tag's requests may take to end. The default is `drain_timeout_secs` of `[switch]`.
    #[serde(default, deserialize_with = "nonzero_millis")]
    #[schemars(range(min = 1))]
    pub drain_timeout_ms: Option<u64>,
    /// Answer once switched, without waiting for the old tag's requests.
    pub no_drain: bool,
    /// Go on without the gate.
    pub force: bool,
    /// A text for the history.
    pub reason: Option<String>,
    /// How the new tag is watched afterwards, and judged by its own traffic; what is not given is as its app says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardOptions>,
    /// Requests that each new backend must answer as expected, before the new tag is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoke: Option<SmokeRequests>,
    /// The hooks of the config file that are asked after the gate, in this order; up to 4. If one refuses, nothing
    /// changes. `force` does not skip them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
}

impl SwitchOptions {
    /// The same without smoke requests.
    #[must_use]
    pub fn without_smoke(&self) -> Self {
        Self { smoke: None, ..self.clone() }
    }

    /// How long the new tag may take to be healthy, where that is given.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// How long the old tag's requests may take to end, where that is given.
    pub fn drain_timeout(&self) -> Option<Duration> {
        self.drain_timeout_ms.map(Duration::from_millis)
    }
}

/// One domain's move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchStep {
    /// The domain that moves.
    pub domain: DomainName,
    /// The tag that was live before.
    pub from: Tag,
    /// The tag that is live after.
    pub to: Tag,
}

/// A backend with its last answer to a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackendAnswer {
    /// The backend.
    pub backend: BackendId,
    /// Its health, with the reason of the last failure.
    pub health: HealthReport,
}

/// A phase of a switch that has been reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum SwitchProgress {
    /// The new tag's backends are being probed.
    Checking {
        /// Backends proven healthy so far.
        healthy: usize,
        /// Backends that must be.
        needed: usize,
        /// Backends that carry the new tag and are ready.
        total: usize,
    },
    /// The new tag's backends are being tried with smoke requests.
    Smoke {
        /// Requests that were answered as expected.
        passed: usize,
        /// Requests that were not.
        failed: usize,
        /// All of them.
        total: usize,
    },
    /// Every request from now on goes to the new tag.
    Switched {
        /// Each domain with the tag before and the tag after.
        steps: Vec<SwitchStep>,
        /// The revision at which it does.
        revision: u64,
        /// How long persisting and publishing took, in milliseconds.
        // Version 0.1 has it in microseconds, in another field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Millis")]
        switch_ms: Option<Millis>,
    },
    /// Requests of the old tag are still running.
    Draining {
        /// How many.
        remaining: usize,
        /// How many of them are WebSockets.
        #[serde(default)]
        web_sockets: usize,
        /// In how many milliseconds the server has ended the WebSockets and event streams among them; without
        /// it, they end when they like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended_in_ms: Option<u64>,
    },
}

/// How a switch ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchReport {
    /// Each domain with the tag before and the tag after; empty when all were there already.
    pub steps: Vec<SwitchStep>,
    /// The domains that were asked for and already had the tag.
    pub unchanged: Vec<DomainName>,
    /// The revision that the switch led to.
    pub revision: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How long the gate took, in milliseconds.
    pub gate_ms: u64,
    /// How long persisting and publishing took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Millis")]
    pub switch_ms: Option<Millis>,
    /// How long the drain took, in milliseconds.
    pub drain_ms: u64,
    /// The number of the guard, or of the rollout, that watches the new tag from now on; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u64>,
    /// How many of the requests that the drain did not wait for are WebSockets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub web_sockets: usize,
    /// When the server has ended the last of the WebSockets and event streams that were left, in milliseconds
    /// after the switch; without it, they end when they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_after_ms: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a switch would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchPlan {
    /// The revision of the state that it was worked out on.
    pub revision: u64,
    /// Each domain that would move.
    pub steps: Vec<PlannedStep>,
    /// The domains that were asked for and already have the tag.
    pub unchanged: Vec<DomainName>,
    /// What each tag that is left or joined can carry, as it is now.
    pub capacity: Vec<Capacity>,
    /// The backends of the tags that would become live.
    pub backends: Vec<PlannedBackend>,
    /// How long they may take to be healthy.
    pub gate_timeout_ms: u64,
    /// How long requests of the old tags may take to end; nothing when that is not waited for.
    pub drain_timeout_ms: Option<u64>,
    /// The hooks that would be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// What to think about before.
    pub warnings: Vec<String>,
    /// What `switch.apply` takes to do this and nothing else; nothing when there is nothing to do.
    pub token: Option<String>,
}

/// One domain's move, and what it would leave behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// The domain that would move.
    pub domain: DomainName,
    /// Its app; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The tag that is live.
    pub from: Tag,
    /// The tag that would be.
    pub to: Tag,
    /// Requests in flight that would be drained, WebSockets included.
    pub requests: usize,
    /// How many of them are WebSockets.
    pub web_sockets: usize,
    /// When the server would end the WebSockets and event streams among them; without it, they end when they
    /// like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<PlannedEnd>,
}

/// When WebSockets and event streams that are left are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedEnd {
    /// The first, in milliseconds after the switch.
    pub first_ms: u64,
    /// The last.
    pub last_ms: u64,
}

/// The backends of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// The tag.
    pub tag: Tag,
    /// The app in which it is one; absent if that is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Backends that carry it.
    pub total: usize,
    /// Those in the state `ready`.
    pub ready: usize,
    /// How many of those are healthy.
    pub healthy: usize,
    /// The sum of the weights of the healthy ones.
    pub weight: u64,
}

/// A backend that would serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedBackend {
    /// The backend.
    pub id: BackendId,
    /// The tag for which it would.
    pub tag: Tag,
    /// Where it listens.
    pub address: BackendAddr,
    /// Its share of the pool's traffic.
    pub weight: Weight,
    /// The state that the operator has set.
    pub state: BackendState,
    /// What is known of it now, and since when.
    pub health: HealthReport,
    /// Requests that run there already.
    pub in_flight: usize,
}

worded! {
    /// How a switch ended. The names are stable: metrics carry them.
    pub enum SwitchEnd {
        /// Switched, and the old tag's requests have ended.
        Done "done",
        /// Switched, and the drain was not waited for.
        NotDrained "not_drained",
        /// Switched, and requests of the old tag still ran at the drain timeout.
        DrainTimedOut "drain_timed_out",
        /// Switched, and moved on again before the drain had ended.
        Superseded "superseded",
        /// Nothing changed: the new tag was not healthy in time.
        GateFailed "gate_failed",
        /// Nothing changed: the state had moved meanwhile, or could not be saved.
        Failed "failed",
    }
}

impl SwitchEnd {
    /// How a switch ended that left this in the history; nothing while it has not.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Done => Some(Self::Done),
            Outcome::NotDrained => Some(Self::NotDrained),
            Outcome::DrainTimedOut { .. } => Some(Self::DrainTimedOut),
            Outcome::Superseded => Some(Self::Superseded),
            Outcome::GateFailed { .. } => Some(Self::GateFailed),
            Outcome::Draining | Outcome::Interrupted | Outcome::Unknown => None,
        }
    }
}
