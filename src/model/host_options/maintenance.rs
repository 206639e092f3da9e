//! Times in which a domain does not serve.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to clients during maintenance (503).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Maintenance {
    /// The text of the answer; a line of our own when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When clients may try again, in seconds (`Retry-After`); the field is left out when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_secs: Option<u32>,
}

/// How requests wait while a domain is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pause {
    /// How long each waits at most, in seconds; then it gets 503.
    pub max_wait_secs: u32,
    /// How many wait at most; one more gets 503 at once.
    pub max_waiting: u32,
}

impl Default for Pause {
    fn default() -> Self {
        Self { max_wait_secs: 30, max_waiting: 1000 }
    }
}
