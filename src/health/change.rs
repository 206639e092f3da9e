//! What others may learn of changes of health.

use crate::model::{BackendId, HealthStatus};

/// How many changes are kept for those who follow them; one that is slower misses some.
pub(super) const MAX_KEPT_CHANGES: usize = 1024;

/// The health of a backend has changed.
#[derive(Debug, Clone)]
pub(crate) struct HealthChange {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Which backend.
    pub backend: BackendId,
    /// Its health before.
    pub from: HealthStatus,
    /// Its health now.
    pub to: HealthStatus,
    /// Why.
    pub reason: String,
}
