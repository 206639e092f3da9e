//! Clients that stay with their backend.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a client is known again: by a signed cookie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sticky {
    /// The cookie's name; `vhost_backend` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// How long it lasts, in seconds; until the browser closes when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_secs: Option<u32>,
}
