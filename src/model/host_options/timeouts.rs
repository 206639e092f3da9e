//! How long the backends of a domain may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Seconds;

/// How long the backends of a domain may take.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// How long a backend may send nothing, before its response begins and within it, in seconds; then the
    /// client gets 504. The default is `read_timeout_secs` of `[upstream]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_secs: Option<Seconds>,
}
