//! What came of a switch or a deploy.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a switch or a deploy ended, or where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// Switched; requests of the old tag still run.
    Draining,
    /// Switched, and the old tag's requests have ended.
    Done,
    /// Switched, and the drain was not waited for.
    NotDrained,
    /// Switched, but this many requests of the old tag still ran at the drain timeout.
    DrainTimedOut {
        /// Requests that had not ended.
        remaining: usize,
    },
    /// Nothing changed: the gate failed, or a hook refused.
    GateFailed {
        /// Why, in words.
        cause: String,
    },
    /// Switched, and moved on again before the drain had ended.
    Superseded,
    /// Switched, and the server stopped before the drain had ended.
    Interrupted,
    /// A value of a newer version.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining => f.pad("draining"),
            Self::Done => f.pad("done"),
            Self::NotDrained => f.pad("not drained"),
            Self::DrainTimedOut { remaining } => f.pad(&format!("{remaining} not drained")),
            Self::GateFailed { .. } => f.pad("gate failed"),
            Self::Superseded => f.pad("superseded"),
            Self::Interrupted => f.pad("interrupted"),
            Self::Unknown => f.pad("unknown"),
        }
    }
}
