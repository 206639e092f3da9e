//! Methods that move a domain to another tag.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method;
use crate::model::{DomainName, SwitchProgress, SwitchReport, Tag};

method!(/// Moves domains to a tag: checks it, switches in one step, drains the old one.
    Start, "switch.start", StartParams => SwitchReport, progress SwitchProgress,
    faults [NotFound, Conflict, Unhealthy]);
method!(/// Moves a domain back to the tag before, through the same gate.
    Undo, "switch.undo", UndoParams => SwitchReport, progress SwitchProgress,
    faults [NotFound, Conflict, Unhealthy]);

/// What `switch.start` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartParams {
    /// The domains, which all move in one step.
    pub domains: Vec<DomainName>,
    /// The tag to move to; the other one when not given.
    #[serde(default)]
    pub tag: Option<Tag>,
    /// How it is done.
    #[serde(default)]
    pub options: SwitchOptions,
}

/// What `switch.undo` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoParams {
    /// The domain that goes back.
    pub domain: DomainName,
    /// How it is done.
    #[serde(default)]
    pub options: SwitchOptions,
}

/// How a switch is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchOptions {
    /// How long the new tag may take to be healthy; the config's time-out when not given.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// How long the old tag's requests may take to end; the config's time-out when not given.
    #[serde(default)]
    pub drain_timeout_ms: Option<u64>,
    /// Answer once switched; the old tag's requests end on their own.
    #[serde(default)]
    pub no_drain: bool,
    /// Skip the gate.
    #[serde(default)]
    pub force: bool,
    /// The operator's words, kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}
