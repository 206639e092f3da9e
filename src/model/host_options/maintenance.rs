//! Times in which a domain does not serve.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::WholeSeconds;

/// The answer to clients during maintenance (503).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Maintenance {
    /// The text of the answer. The default is a line of the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When clients may try again, in seconds (`Retry-After`). Without it, that header is not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_secs: Option<WholeSeconds>,
}

/// How requests wait while a domain is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pause {
    /// How long a request may wait, in seconds; then it gets 503.
    pub max_wait_secs: WholeSeconds,
    /// The maximum number of requests that may wait; further ones get 503 at once.
    pub max_waiting: u32,
}

impl Default for Pause {
    fn default() -> Self {
        Self { max_wait_secs: 30.into(), max_waiting: 1000 }
    }
}
