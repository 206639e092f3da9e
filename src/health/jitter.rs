//! Keeps schedules apart.

use std::time::Duration;

/// Spreads what would else happen at the same moments for ever: 10 % more or less.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * fastrand::f64())
}
