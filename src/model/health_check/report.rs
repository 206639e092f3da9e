//! What health checks and traffic found of a backend.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Millis, worded};

worded! {
    /// The observed health of a backend.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum HealthStatus {
        /// Enough successes in a row.
        Healthy "healthy",
        /// Enough failures in a row.
        Unhealthy "unhealthy",
        /// There have not been enough probes yet.
        // Or a verdict that a newer server has.
        #[default]
        #[serde(other)]
        Unknown "unknown",
    }
}

/// The health of a backend.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// The verdict.
    pub status: HealthStatus,
    /// When the verdict was reached, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// When the last probe ended, in milliseconds since the Unix epoch.
    pub checked_ms: Option<u64>,
    /// How long the last probe took, in milliseconds.
    // Version 0.1 has it in microseconds, in another field.
    #[serde(default)]
    pub latency_ms: Option<Millis>,
    /// The HTTP status of the last probe, if it got one.
    pub last_status: Option<u16>,
    /// Why the last probe, or traffic since then, failed; null if it succeeded.
    pub last_error: Option<String>,
    /// When `last_error` was seen, in milliseconds since the Unix epoch.
    pub failed_ms: Option<u64>,
}
