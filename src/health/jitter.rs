//! Keeps schedules apart.

use std::time::Duration;

/// Varies an interval by 10 % either way, so that schedules don't stay in step.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * fastrand::f64())
}
