//! From evidence to a verdict: fail, pass, or can't tell.

use super::cap::{Evidence, Limited};
use super::proportions::{Difference, difference, exceeds};

/// By how much the share of slow requests may be higher with the new version. The old one has less
/// than 5 % above its p95 times a ratio, so if the new one has 5 points more, its p95 is above.
pub const SLOW_MARGIN: f64 = 0.05;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// By how much the share of failures may be higher with the new version: 0.01 is one point.
    pub max_error_delta: f64,
    /// Of the new version before it can fail, of both before it can pass: weighed requests.
    pub min_requests: u64,
    /// The probability that a version that keeps the limits is ever found to fail, however often one
    /// looks. Half of it is for errors, half for latency. Guards in a row each have their own.
    pub risk: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_error_delta: 0.01, min_requests: 100, risk: 0.005 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fail,
    Pass,
    CantTell,
}

/// What the evidence says at one look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// As counted against the new version.
    pub errors: Difference,
    /// `None` without a threshold for slow.
    pub slow: Option<Difference>,
    /// The new version's share of failures is proven to be more than the limit above the old one's.
    pub more_errors: bool,
    /// The same of slow requests, by [`SLOW_MARGIN`].
    pub slower: bool,
    /// Neither difference can be above its limit, with the same confidence.
    pub proven_equal: bool,
    /// The new version has the least number of requests.
    pub enough_new: bool,
    /// The old version has it too.
    pub enough_old: bool,
}

impl Finding {
    pub fn regressed(&self) -> bool {
        self.more_errors || self.slower
    }

    /// While more is to come.
    pub fn so_far(&self) -> Verdict {
        match self.regressed() {
            true if self.enough_new => Verdict::Fail,
            false if self.enough_new && self.enough_old && self.proven_equal => Verdict::Pass,
            _ => Verdict::CantTell,
        }
    }

    /// When the time is over: enough requests without a proof that the new version is worse pass,
    /// since that is what the least number of requests is for.
    pub fn at_end(&self) -> Verdict {
        match self.regressed() {
            true if self.enough_new => Verdict::Fail,
            false if self.enough_new && self.enough_old => Verdict::Pass,
            _ => Verdict::CantTell,
        }
    }
}

pub fn judge(evidence: &Evidence, limits: &Limits) -> Finding {
    let risk = limits.risk / 2.0;
    let worse = |evidence: &Limited, margin| exceeds(&evidence.limited, margin, risk);
    let equal =
        |evidence: &Limited, margin| difference(&evidence.whole, risk).interval.high <= margin;
    let slow = evidence.slow.as_ref();
    let enough = |requests: f64| requests >= super::counts::real(limits.min_requests);
    Finding {
        errors: difference(&evidence.failures.limited, risk),
        slow: slow.map(|slow| difference(&slow.limited, risk)),
        more_errors: worse(&evidence.failures, limits.max_error_delta),
        slower: slow.is_some_and(|slow| worse(slow, SLOW_MARGIN)),
        proven_equal: equal(&evidence.failures, limits.max_error_delta)
            && slow.is_none_or(|slow| equal(slow, SLOW_MARGIN)),
        enough_new: enough(evidence.requests.new),
        enough_old: enough(evidence.requests.old),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cap::{Network, capped};
    use super::super::counts::{Counts, Pair};
    use super::*;

    fn counts(requests: u64, failures: u64, slow: u64) -> Counts {
        Counts { requests, failures, slow }
    }

    /// A thousand clients with the same counts each would do the same.
    fn from_many_clients(old: Counts, new: Counts) -> Finding {
        judge(&capped(&[], &Pair { old, new }), &Limits::default())
    }

    #[test]
    fn equal_versions_that_both_fail_often_are_kept() {
        let finding = from_many_clients(counts(10_000, 1_000, 100), counts(10_000, 1_000, 100));
        assert!(!finding.regressed());
        assert_eq!(finding.at_end(), Verdict::Pass);
        assert_eq!(finding.so_far(), Verdict::CantTell, "half a point worse is possible");
    }

    #[test]
    fn a_version_that_only_gets_slower_fails() {
        let finding = from_many_clients(counts(2_000, 2, 20), counts(2_000, 2, 300));
        assert_eq!((finding.more_errors, finding.slower), (false, true));
        assert_eq!((finding.so_far(), finding.at_end()), (Verdict::Fail, Verdict::Fail));
    }

    #[test]
    fn without_a_threshold_latency_is_not_judged() {
        let rest = Pair { old: counts(2_000, 2, 20), new: counts(2_000, 2, 300) };
        let evidence = Evidence { slow: None, ..capped(&[], &rest) };
        assert_eq!(judge(&evidence, &Limits::default()).at_end(), Verdict::Pass);
    }

    #[test]
    fn twenty_requests_cant_tell() {
        for failures in [0, 20] {
            let finding = from_many_clients(counts(5_000, 5, 0), counts(20, failures, 0));
            assert_eq!(finding.so_far(), Verdict::CantTell);
            assert_eq!(finding.at_end(), Verdict::CantTell);
        }
    }

    #[test]
    fn a_proven_regression_needs_few_requests_of_the_old_version_and_passing_many() {
        let finding = from_many_clients(counts(50, 0, 0), counts(500, 500, 0));
        assert_eq!(finding.so_far(), Verdict::Fail);
        let finding = from_many_clients(counts(50, 0, 0), counts(500, 0, 0));
        assert_eq!(finding.at_end(), Verdict::CantTell);
        let finding = from_many_clients(counts(0, 0, 0), counts(500, 500, 0));
        assert_eq!(finding.at_end(), Verdict::CantTell, "there is no old version to be worse than");
    }

    #[test]
    fn many_good_requests_pass_before_the_end() {
        let finding = from_many_clients(counts(50_000, 50, 500), counts(50_000, 50, 500));
        assert_eq!(finding.so_far(), Verdict::Pass);
    }

    #[test]
    fn one_client_that_makes_all_errors_and_nine_tenths_of_the_requests_is_kept() {
        let mut networks: Vec<Network> =
            (0..40).map(|_| Pair { old: counts(100, 0, 0), new: counts(100, 0, 0) }).collect();
        for its_old_requests in [0, 100, 36_000] {
            networks.push(Pair {
                old: counts(its_old_requests, 0, 0),
                new: counts(36_000, 36_000, 36_000),
            });
            let finding = judge(&capped(&networks, &Pair::default()), &Limits::default());
            assert!(!finding.regressed(), "{finding:?}");
            assert!(!finding.proven_equal, "nor is it hidden: {finding:?}");
            assert_eq!(finding.at_end(), Verdict::Pass);
            networks.pop();
        }
    }
}
