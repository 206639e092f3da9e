//! From evidence to a verdict: fail, pass, or can't tell. Looking after each moment, and acting on
//! the first proof, is how Lindon, Sanden and Shirikian watch deployments: arXiv:2205.14762.

use super::cap::{Evidence, Limited, Traffic, capped};
use super::counts::{Pair, Share};
use super::proportions::{Difference, difference, exceeds, is_below, is_not};

/// The share of slow requests from which the p95 is slow.
pub const SLOW_SHARE: f64 = 0.05;

/// By how much the share of slow requests has to be higher with the new version as well: when both
/// get slower than they were, neither is to blame.
pub const SLOW_MARGIN: f64 = 0.025;

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

impl Limits {
    fn risk_of_each(&self) -> f64 {
        self.risk / 2.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fail,
    Pass,
    CantTell,
}

/// What the evidence says at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Finding {
    /// The new version's share of failures is proven to be more than the limit above the old one's.
    pub more_errors: bool,
    /// The same of slow requests, by [`SLOW_MARGIN`]; and they are proven to be more than
    /// [`SLOW_SHARE`].
    pub slower: bool,
    /// Both differences are proven to be below their limits, with the same confidence.
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

/// How much more often the new version fails, and is slow: to be shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// By what counts against the new version.
    pub errors: Difference,
    /// `None` without a threshold for slow.
    pub slow: Option<Difference>,
}

/// The intervals agree with what [`judge`] finds before it leaves anybody out, and take longer.
pub fn measure(evidence: &Evidence, limits: &Limits) -> Measured {
    let of = |evidence: &Limited| difference(&evidence.limited, limits.risk_of_each());
    Measured { errors: of(&evidence.failures), slow: evidence.slow.as_ref().map(of) }
}

/// A regression has to be proven without any one client network, too. That takes a time in the
/// square of the networks, but only once it is proven with all of them: 10 ms for 200.
pub fn judge(traffic: &Traffic, limits: &Limits) -> Finding {
    let evidence = capped(traffic);
    let mut worse = Worse::by(&evidence, limits);
    if !evidence.sole_client {
        let mut others = traffic.networks.to_vec();
        for left_out in 0..others.len() {
            if !worse.errors && !worse.slow {
                break;
            }
            let network = std::mem::take(&mut others[left_out]);
            let without = capped(&Traffic { networks: &others, ..*traffic });
            worse = worse.and(Worse::by(&without, limits));
            others[left_out] = network;
        }
    }
    let equal =
        |evidence: &Limited, margin| is_below(&evidence.whole, margin, limits.risk_of_each());
    let enough = |requests: f64| requests >= super::counts::real(limits.min_requests);
    Finding {
        more_errors: worse.errors,
        slower: worse.slow,
        proven_equal: equal(&evidence.failures, limits.max_error_delta)
            && evidence.slow.is_none_or(|slow| equal(&slow, SLOW_MARGIN)),
        enough_new: enough(evidence.requests.new),
        enough_old: enough(evidence.requests.old),
    }
}

#[derive(Clone, Copy)]
struct Worse {
    errors: bool,
    slow: bool,
}

impl Worse {
    fn by(evidence: &Evidence, limits: &Limits) -> Self {
        let risk = limits.risk_of_each();
        // Both conditions have to hold, so each may have the whole risk.
        let slow = |shares: &Pair<Share>| {
            exceeds(shares, SLOW_MARGIN, risk)
                && shares.new.estimate() > SLOW_SHARE
                && is_not(shares.new, SLOW_SHARE, risk)
        };
        Self {
            errors: exceeds(&evidence.failures.limited, limits.max_error_delta, risk),
            slow: evidence.slow.is_some_and(|evidence| slow(&evidence.limited)),
        }
    }

    fn and(self, other: Self) -> Self {
        Self { errors: self.errors && other.errors, slow: self.slow && other.slow }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cap::Network;
    use super::super::counts::Counts;
    use super::*;

    fn counts(requests: u64, failures: u64, slow: u64) -> Counts {
        Counts { requests, failures, slow }
    }

    fn traffic(networks: &[Network], rest: Network) -> Traffic<'_> {
        Traffic { networks, rest, counts_slow: true }
    }

    /// A thousand clients with the same counts each would do the same.
    fn from_many_clients(old: Counts, new: Counts) -> Finding {
        judge(&traffic(&[], Pair { old, new }), &Limits::default())
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
    fn versions_that_both_get_slower_are_kept() {
        let finding = from_many_clients(counts(9_000, 0, 2_700), counts(9_000, 0, 2_800));
        assert!(!finding.regressed());
    }

    #[test]
    fn more_slow_requests_whose_p95_keeps_the_ratio_are_no_reason() {
        let finding = from_many_clients(counts(100_000, 0, 100), counts(100_000, 0, 4_900));
        assert!(!finding.regressed());
        assert!(!finding.proven_equal);
    }

    #[test]
    fn without_a_threshold_latency_is_not_judged() {
        let rest = Pair { old: counts(2_000, 2, 20), new: counts(2_000, 2, 300) };
        let traffic = Traffic { counts_slow: false, ..traffic(&[], rest) };
        assert_eq!(judge(&traffic, &Limits::default()).at_end(), Verdict::Pass);
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
            let finding = judge(&traffic(&networks, Pair::default()), &Limits::default());
            assert!(!finding.regressed(), "{finding:?}");
            assert!(!finding.proven_equal, "nor is it hidden: {finding:?}");
            assert_eq!(finding.at_end(), Verdict::Pass);
            networks.pop();
        }
    }

    #[test]
    fn two_clients_are_enough_where_both_fail() {
        let fails = Pair { old: counts(2_000, 2, 0), new: counts(1_000, 300, 0) };
        let well = Pair { old: counts(2_000, 2, 0), new: counts(1_000, 1, 0) };
        let finding =
            |networks: &[Network]| judge(&traffic(networks, Pair::default()), &Limits::default());
        assert!(finding(&[fails, fails]).more_errors);
        assert!(!finding(&[fails, well]).more_errors);
        assert!(finding(&[fails]).more_errors, "there is no other");
    }
}
