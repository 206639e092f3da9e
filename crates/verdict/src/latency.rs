//! Latencies from histograms: a threshold for slow, and between which limits a quantile lies.
//!
//! The p95 of the new version is above that of the old one times a ratio just when more than 5 % of
//! its requests take longer than that product. So latency becomes a share, tested like failures.
//! The threshold is fixed once, from what the old version did *before* the comparison; both versions
//! are counted against it. Equal versions then have equal shares whatever the threshold is, so that
//! a bad estimate of the p95 costs time, never a wrong rollback.

use super::counts::{Share, real};
use super::proportions::is_not;

/// How many went into each bucket. One more count than bounds: the last is of what is above all of
/// them.
#[derive(Debug, Clone, Copy)]
pub struct Histogram<'a> {
    /// Ascending; a bucket holds what is above the bound before and no more than its own.
    pub bounds: &'a [u64],
    pub counts: &'a [u64],
}

impl Histogram<'_> {
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many are in buckets that lie above `threshold` as a whole: no more than there are.
    pub fn above(&self, threshold: u64) -> u64 {
        // Bucket n + 1 starts at bound n.
        let skip = self.bounds.partition_point(|bound| *bound < threshold) + 1;
        self.counts.iter().skip(skip).sum()
    }

    /// Each bucket's bound, how many are in buckets before it, and how many no longer than it.
    fn cumulated(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.bounds.iter().zip(self.counts).scan(0_u64, |sum, (bound, count)| {
            let before = *sum;
            *sum += count;
            Some((*bound, before, *sum))
        })
    }
}

/// What is slower than `ratio` times the old version's p95, and by more than `least_excess`, is slow.
/// `None` where `old` has too few requests to say what its p95 is.
///
/// The p95 is taken at the upper end: its bucket's bound, two standard errors of the rank up.
pub fn slow_threshold(old: Histogram, ratio: f64, least_excess: u64) -> Option<u64> {
    const QUANTILE: f64 = 0.95;
    let total = real(old.total());
    let rank = total * QUANTILE + 2.0 * (total * QUANTILE * (1.0 - QUANTILE)).sqrt();
    if total < 1.0 || rank > total {
        return None;
    }
    let p95 = old.cumulated().find(|(_, _, up_to)| real(*up_to) >= rank)?.0;
    Some(whole(real(p95) * ratio).max(p95.saturating_add(least_excess)))
}

/// Between which bounds a quantile lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantileRange {
    /// Above this one. 0 where that is all that is known.
    pub low: u64,
    /// Not above this one. `None` where it may be above all bounds.
    pub high: Option<u64>,
}

/// `quantile` is above 0 and below 1; `risk` is the probability that the range is ever wrong,
/// however often one looks. Makes no assumption about the distribution: whether a request takes no
/// longer than the true quantile is a coin of known bias, and a bound is refuted as soon as the
/// coin is (Howard and Ramdas, arXiv:1906.09712).
pub fn quantile_range(histogram: Histogram, quantile: f64, risk: f64) -> QuantileRange {
    let total = histogram.total();
    let refuted = |count: u64| is_not(Share::of_counts(count, total), quantile, risk);
    let is_below = |count: u64| real(count) < real(total) * quantile && refuted(count);
    let is_above = |count: u64| real(count) > real(total) * quantile && refuted(count);
    QuantileRange {
        low: histogram
            .cumulated()
            .take_while(|(_, _, up_to)| is_below(*up_to))
            .last()
            .map_or(0, |(bound, _, _)| bound),
        high: histogram
            .cumulated()
            .find(|(_, _, up_to)| is_above(*up_to))
            .map(|(bound, _, _)| bound),
    }
}

/// The next whole number up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and NaN is 0"
)]
fn whole(value: f64) -> u64 {
    value.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [u64; 4] = [10, 20, 40, 80];

    fn histogram(counts: &[u64; 5]) -> Histogram<'_> {
        Histogram { bounds: &BOUNDS, counts }
    }

    #[test]
    fn above_counts_only_whole_buckets() {
        let histogram = histogram(&[1, 10, 100, 1_000, 10_000]);
        for (threshold, above) in [
            (0, 11_110),
            (9, 11_110),
            (10, 11_110),
            (11, 11_100),
            (20, 11_100),
            (79, 10_000),
            (80, 10_000),
            (81, 0),
        ] {
            assert_eq!(histogram.above(threshold), above, "{threshold}");
        }
    }

    #[test]
    fn the_threshold_is_taken_at_the_upper_end() {
        assert_eq!(slow_threshold(histogram(&[9_600, 400, 0, 0, 0]), 1.5, 0), Some(15));
        assert_eq!(
            slow_threshold(histogram(&[9_510, 490, 0, 0, 0]), 1.5, 0),
            Some(30),
            "within the error"
        );
        assert_eq!(slow_threshold(histogram(&[9_600, 400, 0, 0, 0]), 1.5, 25), Some(35));
        assert_eq!(slow_threshold(histogram(&[0; 5]), 1.5, 0), None);
        assert_eq!(slow_threshold(histogram(&[50, 0, 0, 0, 0]), 1.5, 0), None, "too few");
        assert_eq!(slow_threshold(histogram(&[100, 0, 0, 0, 0]), 1.5, 0), Some(15));
        assert_eq!(
            slow_threshold(histogram(&[0, 0, 0, 0, 1_000]), 1.5, 0),
            None,
            "above all bounds"
        );
        assert_eq!(
            slow_threshold(histogram(&[1_000, 0, 0, 0, 0]), f64::INFINITY, 0),
            Some(u64::MAX)
        );
    }

    #[test]
    fn the_range_of_a_quantile_narrows_to_its_bucket() {
        let few = histogram(&[0, 3, 3, 0, 0]);
        assert_eq!(quantile_range(few, 0.5, 0.05), QuantileRange { low: 0, high: None });
        let many = histogram(&[1_000, 9_000, 300, 0, 0]);
        assert_eq!(quantile_range(many, 0.5, 0.05), QuantileRange { low: 10, high: Some(20) });
        assert_eq!(quantile_range(many, 0.99, 0.05), QuantileRange { low: 20, high: Some(40) });
        let none = histogram(&[0; 5]);
        assert_eq!(quantile_range(none, 0.5, 0.05), QuantileRange { low: 0, high: None });
    }
}
