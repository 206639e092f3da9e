//! When the next probe is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The interval of probes while the health may be about to change, and the shortest time between
/// two probes because of failed traffic; unless the interval is shorter.
pub(super) const FAST_INTERVAL: Duration = Duration::from_millis(500);

/// The interval of probes of a backend that has become unhealthy just now; unless the interval is
/// shorter.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(1);

/// What part of the time that a backend has been unhealthy may pass until it is found to be well: it is
/// probed each second in the first minute, and each ten seconds after ten.
const RECOVERY_PART: u32 = 60;

/// How many probes a second look for all unhealthy backends that are probed sooner than their interval: of
/// thousands that are dead nobody waits for one, and their probes must not take the place of those that
/// keep traffic away from what fails.
const MAX_RECOVERY_PROBES_PER_SEC: f64 = 200.0;

/// The backends that are unhealthy now. Cloned handles share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Recoveries(Arc<AtomicUsize>);

/// An unhealthy backend, from when it is looked for.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) since: Instant,
    all: Recoveries,
}

impl Recoveries {
    /// A backend has become unhealthy.
    pub(super) fn begin(&self) -> Recovery {
        self.0.fetch_add(1, Ordering::Relaxed);
        Recovery { since: Instant::now(), all: self.clone() }
    }
}

impl Recovery {
    /// The time from a probe that `took` so long to the next.
    pub(super) fn pause(&self, took: Duration, interval: Duration) -> Duration {
        while_unhealthy(self.since.elapsed(), took, self.all.0.load(Ordering::Relaxed), interval)
    }
}

impl Drop for Recovery {
    fn drop(&mut self) {
        self.all.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The time until the next probe of a backend that has been unhealthy for `down`, and whose last probe
/// `took` so long; `all` are unhealthy. Of a backend that answers nothing probes take all the time that they
/// may have: they have pauses as long.
fn while_unhealthy(down: Duration, took: Duration, all: usize, interval: Duration) -> Duration {
    let turn = Duration::from_secs_f64(
        f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / MAX_RECOVERY_PROBES_PER_SEC,
    );
    RECOVERY_INTERVAL.max(down / RECOVERY_PART).max(took).max(turn).min(interval)
}

/// Varies an interval by 10 % either way, so that schedules don't stay in step.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// Any time up to this one, so that what concerns many schedules at once doesn't have them all probe at
/// once.
pub(super) fn spread(time: Duration) -> Duration {
    time.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_unhealthy_is_probed_each_second_and_then_less_and_less_often() {
        let secs = Duration::from_secs;
        let quick = Duration::from_millis(3);
        for (down, interval, expected) in [
            (secs(0), secs(10), secs(1)),
            (secs(60), secs(10), secs(1)),
            (secs(120), secs(10), secs(2)),
            (secs(600), secs(10), secs(10)),
            (secs(3600), secs(10), secs(10)),
            (secs(3600), secs(600), secs(60)),
            (secs(0), Duration::from_millis(200), Duration::from_millis(200)),
        ] {
            assert_eq!(
                while_unhealthy(down, quick, 1, interval),
                expected,
                "{down:?} {interval:?}"
            );
        }
        assert_eq!(while_unhealthy(secs(0), secs(5), 1, secs(10)), secs(5), "it answers nothing");
        for (all, expected) in [(200, 1), (1000, 5), (100_000, 10)] {
            assert_eq!(while_unhealthy(secs(0), quick, all, secs(10)), secs(expected), "{all}");
        }
        // An hour of being dead costs some hundreds of probes, not thousands.
        let (mut now, mut probes) = (Duration::ZERO, 0);
        while now < secs(3600) {
            now += while_unhealthy(now, quick, 1, secs(600));
            probes += 1;
        }
        assert!((200..400).contains(&probes), "{probes}");
    }

    #[test]
    fn who_is_not_looked_for_any_more_is_not_counted() {
        let all = Recoveries::default();
        let (one, two) = (all.begin(), all.begin());
        assert_eq!(all.0.load(Ordering::Relaxed), 2);
        drop((one, two));
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
    }
}
