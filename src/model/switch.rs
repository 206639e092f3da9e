//! What a switch reports while it runs and when it ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BackendId, DomainName, HealthReport, Outcome, Tag};

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
    /// Every request from now on goes to the new tag.
    Switched {
        /// Each domain with the tag before and the tag after.
        steps: Vec<SwitchStep>,
        /// The revision at which it does.
        revision: u64,
        /// How long persisting and publishing took, in microseconds.
        switch_us: u64,
    },
    /// Requests of the old tag are still running.
    Draining {
        /// How many.
        remaining: usize,
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
    /// How long persisting and publishing took, in microseconds.
    pub switch_us: u64,
    /// How long the drain took, in milliseconds.
    pub drain_ms: u64,
}
