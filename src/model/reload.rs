//! What a reload of the config reports while it runs and when it ends, and how live differs from it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Made, Outcome, SwitchStep, worded};

worded! {
    /// What an entry of the config is about.
    #[derive(PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum EntryKind {
        /// A key of a section.
        Setting "setting",
        /// An `[[apps]]` entry.
        App "app",
        /// A `[[virtual_hosts]]` entry.
        Domain "domain",
        /// A `[[backends]]` entry.
        Backend "backend",
    }
}

worded! {
    /// What happened to an entry.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum EntryAction {
        /// It was added.
        Added "added",
        /// It was changed.
        Changed "changed",
        /// It was removed.
        Removed "removed",
    }
}

/// One entry that a changed config changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryChange {
    /// The kind of entry.
    pub kind: EntryKind,
    /// The domain, the backend's id, or the setting's key.
    pub name: String,
    /// What happens to it.
    pub action: EntryAction,
    /// Its changes, each as `field: before → after`; without `field` for a setting; or what was read again.
    pub changes: Vec<String>,
}

impl fmt::Display for EntryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, action, changes } = self;
        match action {
            EntryAction::Changed => write!(f, "{kind} `{name}`: {}", changes.join(", ")),
            EntryAction::Added | EntryAction::Removed => {
                write!(f, "{kind} `{name}` {}", action.as_str())
            }
        }
    }
}

/// A setting that changed in the config and can't change while the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NeedsRestart {
    /// The key, such as `proxy.listen_addr_http`.
    pub key: String,
    /// The value in use; null if there is none.
    pub running: Option<String>,
    /// The value in the config.
    pub file: Option<String>,
    /// What to do.
    pub hint: String,
}

/// A phase of a reload that has been reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum ReloadProgress {
    /// The backends of a tag that the config makes live are being probed.
    Checking {
        /// The tag.
        tag: super::Tag,
        /// Backends proven healthy so far.
        healthy: usize,
        /// Backends that must be.
        needed: usize,
        /// Backends that carry the tag and are ready.
        total: usize,
    },
    /// The changes are in effect.
    Applied {
        /// The revision at which they are.
        revision: u64,
    },
    /// Requests of what was removed or left are still running.
    Draining {
        /// How many.
        remaining: usize,
    },
}

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadReport {
    /// Where the config comes from, usually a path.
    pub source: String,
    /// Whether this only says what a reload would do.
    pub dry_run: bool,
    /// The revision of the state now.
    pub revision: u64,
    /// What changed since the config was last applied, and is in effect now.
    pub changed: Vec<EntryChange>,
    /// What changed and is not in effect.
    pub needs_restart: Vec<NeedsRestart>,
    /// The domains among it that moved from one tag to another.
    pub steps: Vec<SwitchStep>,
    /// What is allowed in the config and may be a mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How the drain of what was removed or left ended; `done` where there was nothing to drain.
    pub outcome: Outcome,
    /// How long the drain took, in milliseconds.
    pub drain_ms: u64,
}

/// One difference between the live state and the config as it was last applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The kind of entry.
    pub kind: EntryKind,
    /// The name of the domain, or the id of the backend.
    pub name: String,
    /// The field that differs; null if only one of the two has the entry.
    pub field: Option<String>,
    /// The value in the config; null if it has no such entry.
    pub file: Option<String>,
    /// The live value; null if there is no such entry.
    pub live: Option<String>,
    /// Who changed it, and when, if the history has it.
    pub made: Option<Made>,
}

worded! {
    /// How a reload of the config ended.
    pub enum ReloadEnd {
        /// What the config says is in effect, but for what wants a restart.
        Applied "applied",
        /// Nothing was changed: the config is wrong, or what it wants can't be done.
        Failed "failed",
    }
}
