//! Two shares of which both are unknown: between which limits their difference lies, by a test that
//! holds however often one looks.
//!
//! The method. Fix what both shares might be, p and q. The likelihood of all that was seen, averaged
//! over a prior of (p, q) that was chosen beforehand, divided by its likelihood under the true (p, q)
//! is a martingale of mean 1: it reaches 1/risk *at any time* with a probability of at most `risk`
//! (Ville's inequality). So the pairs (p, q) for which it never did are a confidence set that holds
//! at all times at once, and a difference is refuted once no pair with that difference is left in
//! it. Which version the next request goes to may depend on all that was seen before, so the same
//! holds for a split of any share, and for a fixed window of the old version that ended before.
//! No normal approximation, hence right at no failures in a hundred requests as well.
//!
//! It is the Dirichlet mixture of Lindon and Malek, arXiv:2011.03567, for two binomials of unknown
//! shares; the maximum over what the null leaves open is universal inference: Wasserman, Ramdas and
//! Balakrishnan, arXiv:1912.11436.
//!
//! Two properties that other files lean on. Fewer hits of the new version are never more evidence
//! against it. And counting a request for less than one, by a weight that doesn't depend on its
//! outcome, keeps the test valid: the mean of a ratio's power below 1 is no more than the power of
//! its mean.

use super::counts::{Interval, Pair, Share};
use super::gamma::ln_beta;

/// The prior: a mixture, in equal parts, of pairs of independent Beta distributions, the old
/// version's (a, b) and the new version's. Failures are rare, and a bad new version has more of
/// them: that is where this prior looks first. Any prior is valid; of nine that were tried, this
/// one needed the fewest requests.
const PRIOR: [Pair<(f64, f64)>; 3] = [
    Pair { old: (0.5, 200.0), new: (1.0, 10.0) },
    Pair { old: (0.5, 50.0), new: (1.0, 10.0) },
    Pair { old: (0.5, 5.0), new: (0.5, 5.0) },
];

/// What each part of [`PRIOR`] weighs.
const PART: f64 = 1.0 / 3.0;

/// Halvings of an interval: 2^-52 is what a double resolves.
const HALVINGS: u32 = 52;

/// The share of the new version less that of the old one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    pub estimate: f64,
    /// Holds the true difference at all times at once, but for the risk.
    pub interval: Interval,
}

/// `risk` is the probability that the interval is ever wrong. -1 to 1 where there are no requests.
pub fn difference(shares: &Pair<Share>, risk: f64) -> Difference {
    let estimate = shares.new.estimate() - shares.old.estimate();
    let refuted = ln_average(shares) + risk.ln();
    let plausible = |difference: f64| ln_best(shares, difference) > refuted;
    // The best likelihood is a concave function of the difference, so the plausible ones are an
    // interval around the estimate.
    let limit = |end: f64| {
        if plausible(end) {
            return end;
        }
        let (mut inside, mut outside) = (estimate, end);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(inside, outside);
            if plausible(middle) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        outside
    };
    Difference { estimate, interval: Interval { low: limit(-1.0), high: limit(1.0) } }
}

/// Whether it is proven that the new version's share is more than `margin` above the old one's. The
/// same as that the low end of [`difference`] is above it, for a fiftieth of the work.
pub fn exceeds(shares: &Pair<Share>, margin: f64, risk: f64) -> bool {
    shares.new.estimate() - shares.old.estimate() > margin && is_refuted(shares, margin, risk)
}

/// The other way round: whether it is proven that the difference is less than `margin`.
pub fn is_below(shares: &Pair<Share>, margin: f64, risk: f64) -> bool {
    shares.new.estimate() - shares.old.estimate() < margin && is_refuted(shares, margin, risk)
}

/// Whether it is proven that a share on its own is not `p`, between 0 and 1.
pub(super) fn is_not(share: Share, p: f64, risk: f64) -> bool {
    ln_beta_average(share, (0.5, 0.5)) - ln_likelihood(share, p) >= -risk.ln()
}

fn is_refuted(shares: &Pair<Share>, difference: f64, risk: f64) -> bool {
    (-1.0..=1.0).contains(&difference)
        && ln_best(shares, difference) <= ln_average(shares) + risk.ln()
}

/// The logarithm of how likely it is that a share is `p`, by the hits of one version: 0 to the power
/// of 0 is 1.
fn ln_likelihood(share: Share, p: f64) -> f64 {
    let times = |count: f64, ln: f64| if count > 0.0 { count * ln } else { 0.0 };
    times(share.hits, p.ln()) + times(share.misses(), (-p).ln_1p())
}

/// The logarithm of the likelihood, averaged over a Beta distribution of the share.
fn ln_beta_average(share: Share, (a, b): (f64, f64)) -> f64 {
    ln_beta(share.hits + a, share.misses() + b) - ln_beta(a, b)
}

/// As [`ln_beta_average`], for both shares and [`PRIOR`].
fn ln_average(shares: &Pair<Share>) -> f64 {
    let parts = PRIOR
        .map(|part| ln_beta_average(shares.old, part.old) + ln_beta_average(shares.new, part.new));
    let largest = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = parts.iter().map(|part| (part - largest).exp()).sum();
    largest + (sum * PART).ln()
}

/// The logarithm of the likelihood of both, maximal over all pairs with this difference, -1 to 1.
fn ln_best(shares: &Pair<Share>, difference: f64) -> f64 {
    let (mut low, mut high) = ((-difference).max(0.0), (1.0 - difference).min(1.0));
    let slope = |p: f64| {
        let one = |share: Share, p: f64| {
            let times = |count: f64, by: f64| if count > 0.0 { count / by } else { 0.0 };
            times(share.hits, p) - times(share.misses(), 1.0 - p)
        };
        one(shares.old, p) + one(shares.new, p + difference)
    };
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    // Both ends are tried, since the maximum may be at 0 or 1 itself.
    [low, high]
        .map(|p| {
            ln_likelihood(shares.old, p)
                + ln_likelihood(shares.new, (p + difference).clamp(0.0, 1.0))
        })
        .into_iter()
        .fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(old: (u64, u64), new: (u64, u64)) -> Pair<Share> {
        Pair { old: Share::of_counts(old.0, old.1), new: Share::of_counts(new.0, new.1) }
    }

    #[test]
    fn without_requests_everything_is_possible() {
        let Difference { estimate, interval } = difference(&shares((0, 0), (0, 0)), 0.01);
        assert!(estimate.abs() < f64::EPSILON);
        assert_eq!(interval, Interval { low: -1.0, high: 1.0 });
        assert!(!exceeds(&shares((0, 0), (500, 500)), 0.01, 0.01), "of the old one, none is known");
    }

    #[test]
    fn the_interval_holds_the_estimate_and_narrows() {
        for (old, new) in
            [((0, 1), (0, 1)), ((0, 9), (9, 9)), ((3, 700), (40, 500)), ((7, 7), (0, 5))]
        {
            let mut width = f64::INFINITY;
            for times in [1, 10, 1_000, 100_000_000] {
                let found = difference(
                    &shares((old.0 * times, old.1 * times), (new.0 * times, new.1 * times)),
                    0.005,
                );
                let Interval { low, high } = found.interval;
                assert!((-1.0..=1.0).contains(&low) && (-1.0..=1.0).contains(&high), "{found:?}");
                assert!(low <= found.estimate && found.estimate <= high, "{found:?}");
                assert!(high - low <= width, "{found:?}");
                width = high - low;
            }
            assert!(width < 1e-3, "{width}");
        }
    }

    #[test]
    fn exceeding_is_the_low_end_above_the_margin() {
        for failures in 0..=40 {
            for margin in [0.0, 0.01, 0.05] {
                let shares = shares((3, 900), (failures, 400));
                let low = difference(&shares, 0.0025).interval.low;
                assert_eq!(exceeds(&shares, margin, 0.0025), low > margin, "{failures} {margin}");
            }
        }
    }

    #[test]
    fn more_failures_of_the_new_version_are_never_less_evidence_against_it() {
        for requests in [30, 400, 20_000] {
            let mut low = -1.0;
            for failures in 0..=requests.min(300) {
                let found = difference(&shares((10, 1_000), (failures, requests)), 0.005);
                assert!(found.interval.low >= low - 1e-9, "{failures} of {requests}");
                low = found.interval.low;
            }
        }
    }

    #[test]
    fn a_thousand_million_requests_are_computed_exactly_enough() {
        let million = 1_000_000;
        let equal = shares((million, 1_000 * million), (million, 1_000 * million));
        let found = difference(&equal, 0.005);
        assert!(found.interval.low < 0.0 && found.interval.high > 0.0, "{found:?}");
        assert!(found.interval.high < 2e-5, "{found:?}");
        assert!(exceeds(&shares((0, 1_000 * million), (1_000, million)), 0.0, 0.005));
    }
}
