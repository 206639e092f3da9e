//! Plans that the server keeps until they are applied.

use serde::{Deserialize, Serialize};

use super::{Backend, DeployOptions, DeployedApp, SwitchOptions, SwitchStep};

/// What was planned, and what it depends on. It is stored as JSON with its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum KeptPlan {
    /// A switch.
    Switch(PlannedSwitch),
    /// A deploy.
    Deploy(Box<PlannedDeploy>),
    /// A plan of a newer version.
    #[serde(other)]
    Unknown,
}

/// A planned deploy, and what it would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedDeploy {
    /// What was asked for.
    pub options: DeployOptions,
    /// Each app, with its tags and backends.
    pub apps: Vec<DeployedApp>,
    /// Each domain with the tag before and the tag after.
    pub steps: Vec<SwitchStep>,
    /// The backends that it would remove.
    pub removed: Vec<Backend>,
}

/// The moves of a planned switch, and how they are to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedSwitch {
    /// Each domain with the tag before and the tag after.
    pub steps: Vec<SwitchStep>,
    /// How.
    pub options: SwitchOptions,
    /// A number for the state that the plan depends on.
    pub fingerprint: u64,
}
