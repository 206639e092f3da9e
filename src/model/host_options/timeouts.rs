//! How long the backends of a domain may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Seconds;

/// How long the backends of a domain may take.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// The longest time that a backend may go without sending anything, before its response begins or within
    /// it, in seconds; after that the client gets 504. The default is `read_timeout_secs` of `[upstream]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_secs: Option<Seconds>,
}
