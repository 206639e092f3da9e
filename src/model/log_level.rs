//! How much is logged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::worded;

worded! {
    /// The least severe level that is logged.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum LogLevel read as "log level" {
        /// Everything.
        Trace "trace",
        /// Each probe and each decision.
        Debug "debug",
        /// Transitions, operator actions and refused requests.
        #[default]
        Info "info",
        /// Degraded, but serving.
        Warn "warn",
        /// Somebody must act.
        Error "error",
        /// Nothing.
        Off "off",
    }
}
