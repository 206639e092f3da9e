//! Whether a domain serves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::worded;

worded! {
    /// What becomes of the requests of a domain.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum DomainMode {
        /// They are served.
        #[default]
        Serving "serving",
        /// New ones wait.
        Paused "paused",
        /// They are answered with 503.
        Maintenance "maintenance",
    }
}
