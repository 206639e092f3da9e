//! Thresholds: after how many successes or failures in a row a backend's health changes.

use crate::model::{HealthCheck, HealthStatus};

/// The health of one backend, and the successes and failures in a row.
///
/// Probes and traffic each have a count of failures in a row; their sum makes a backend unhealthy.
/// A passed probe resets the probes' count only: a backend may answer its health check and fail
/// every request. A success of traffic resets the traffic's count only, for the opposite reason.
/// Only probes make a backend healthy again.
#[derive(Debug)]
pub(super) struct Threshold {
    healthy_after: usize,
    unhealthy_after: usize,
    status: HealthStatus,
    passed: usize,
    failed: usize,
    traffic_failed: usize,
}

impl Threshold {
    pub(super) fn new(check: &HealthCheck) -> Self {
        let mut new = Self {
            healthy_after: 1,
            unhealthy_after: 1,
            status: HealthStatus::Unknown,
            passed: 0,
            failed: 0,
            traffic_failed: 0,
        };
        new.follow(check);
        new
    }

    /// Goes on from a health that is known already.
    pub(super) fn resume(&mut self, status: HealthStatus) {
        self.status = status;
    }

    /// Uses the thresholds of `check` from the next outcome on.
    pub(super) fn follow(&mut self, check: &HealthCheck) {
        self.healthy_after = check.healthy_threshold.max(1) as usize;
        self.unhealthy_after = check.unhealthy_threshold.max(1) as usize;
    }

    /// A probe passed. Returns whether the health changed.
    pub(super) fn probe_passed(&mut self) -> bool {
        self.passed += 1;
        self.failed = 0;
        self.passed >= self.healthy_after && self.decide(HealthStatus::Healthy)
    }

    /// A probe failed. Returns whether the health changed.
    pub(super) fn probe_failed(&mut self) -> bool {
        self.passed = 0;
        self.failed += 1;
        self.count_failures()
    }

    /// Traffic has now failed `in_row` times in a row. Returns whether the health changed.
    pub(super) fn traffic_failed(&mut self, in_row: usize) -> bool {
        if self.status == HealthStatus::Unhealthy {
            // Requests from before the change still end; they must not delay the recovery.
            return false;
        }
        self.passed = 0;
        self.traffic_failed = in_row;
        self.count_failures()
    }

    /// Whether this many passive failures in a row would make it unhealthy.
    pub(super) fn would_put_out(&self, in_row: usize) -> bool {
        self.status != HealthStatus::Unhealthy && self.failed + in_row >= self.unhealthy_after
    }

    /// Traffic has succeeded since its last failure.
    pub(super) fn traffic_succeeded(&mut self) {
        self.traffic_failed = 0;
    }

    pub(super) fn status(&self) -> HealthStatus {
        self.status
    }

    /// Whether the health is not about to change, so that the next probe can wait for the interval.
    pub(super) fn is_settled(&self) -> bool {
        match self.status {
            HealthStatus::Unknown => false,
            HealthStatus::Healthy => self.failed == 0,
            HealthStatus::Unhealthy => self.passed == 0,
        }
    }

    fn count_failures(&mut self) -> bool {
        self.failed + self.traffic_failed >= self.unhealthy_after
            && self.decide(HealthStatus::Unhealthy)
    }

    fn decide(&mut self, status: HealthStatus) -> bool {
        let changed = self.status != status;
        if changed {
            self.status = status;
            self.traffic_failed = 0;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn threshold(healthy: u32, unhealthy: u32) -> Threshold {
        Threshold::new(&HealthCheck {
            healthy_threshold: healthy,
            unhealthy_threshold: unhealthy,
            ..HealthCheck::default()
        })
    }

    /// Plays `+` (probe passed), `-` (probe failed), `t` (traffic failed), `s` (traffic succeeded)
    /// and gives the verdict after each as `u`, `h` or `x`.
    fn play(threshold: &mut Threshold, steps: &str) -> String {
        let mut row = 0;
        steps
            .chars()
            .map(|step| {
                let before = threshold.status();
                let changed = match step {
                    '+' => threshold.probe_passed(),
                    '-' => threshold.probe_failed(),
                    't' => {
                        row += 1;
                        threshold.traffic_failed(row)
                    }
                    _ => {
                        row = 0;
                        threshold.traffic_succeeded();
                        false
                    }
                };
                assert_eq!(changed, before != threshold.status(), "a change is told once");
                if changed && threshold.status() == HealthStatus::Healthy {
                    row = 0;
                }
                match threshold.status() {
                    HealthStatus::Unknown => 'u',
                    HealthStatus::Healthy => 'h',
                    HealthStatus::Unhealthy => 'x',
                }
            })
            .collect()
    }

    #[test]
    fn verdicts_follow_rows() {
        for (steps, verdicts, why) in [
            ("++", "uh", "two successes in a row"),
            ("+-+-+-++", "uuuuuuuh", "successes with failures between are no row"),
            ("---", "uux", "three failures in a row"),
            ("++--+--+", "uhhhhhhh", "failures with a success between are no row"),
            ("++---", "uhhhx", "healthy, then gone"),
            ("---+-++", "uuxxxxh", "back after two in a row"),
            ("++ttt", "uhhhx", "traffic alone puts it out"),
            ("++tt-", "uhhhx", "traffic and probe add up"),
            ("++t+t+t", "uhhhhhx", "a good health check does not excuse failing requests"),
            ("++ttstt", "uhhhhhh", "a success of traffic ends its row"),
            ("++-s-s-", "uhhhhhx", "a success of traffic does not excuse a failing health check"),
            ("++tttsss+t+", "uhhhxxxxxxh", "only probes bring it back, late failures don't delay"),
            ("++ttt++t", "uhhhxxhh", "the row before is forgotten"),
            ("t+tt", "uuux", "traffic counts before the first verdict"),
        ] {
            assert_eq!(play(&mut threshold(2, 3), steps), verdicts, "{why}: {steps}");
        }
    }

    #[test]
    fn one_failure_after_a_thousand_successes_changes_nothing() {
        let mut threshold = threshold(2, 3);
        play(&mut threshold, &"+".repeat(1000));
        assert_eq!(play(&mut threshold, "-"), "h");
        assert!(!threshold.is_settled(), "but it is looked at again soon");
        play(&mut threshold, "+");
        assert!(threshold.is_settled());
    }

    #[test]
    fn a_threshold_of_zero_is_one() {
        assert_eq!(play(&mut threshold(0, 0), "+-+"), "hxh");
    }

    proptest! {
        #[test]
        fn a_verdict_is_always_backed_by_its_row(
            healthy in 1_u32..5, unhealthy in 1_u32..5, outcomes: Vec<bool>,
        ) {
            let mut threshold = threshold(healthy, unhealthy);
            for (index, passed) in outcomes.iter().enumerate() {
                let changed =
                    if *passed { threshold.probe_passed() } else { threshold.probe_failed() };
                let row = outcomes[..=index].iter().rev().take_while(|o| *o == passed).count();
                let needed = if *passed { healthy } else { unhealthy } as usize;
                prop_assert!(!changed || row == needed, "the verdict changes when the row is full");
                if row >= needed {
                    let verdict =
                        if *passed { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
                    prop_assert_eq!(threshold.status(), verdict);
                }
            }
        }
    }
}
