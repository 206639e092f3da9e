//! Two versions side by side, for who wants to look: no verdict, but which differences are real.

use super::counts::{Interval, Pair, Share};
use super::latency::{Histogram, QuantileRange, quantile_range};
use super::proportions::{Difference, difference};

/// The probability that a difference is called real, or an interval misses, by chance.
const RISK: f64 = 0.05;

/// The quantiles of the latency that are compared.
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub errors: Pair<Share>,
    pub difference: Difference,
    /// The interval of the difference doesn't hold 0.
    pub errors_differ: bool,
    pub quantiles: [QuantileComparison; 3],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileComparison {
    pub quantile: f64,
    pub ranges: Pair<QuantileRange>,
    /// The two ranges have no value in common.
    pub differ: bool,
}

/// In either direction, and valid however often it is called.
pub fn compare(errors: Pair<Share>, latencies: Pair<Histogram>) -> Comparison {
    let difference = difference(&errors, RISK);
    let Interval { low, high } = difference.interval;
    Comparison {
        errors,
        difference,
        errors_differ: low > 0.0 || high < 0.0,
        quantiles: QUANTILES.map(|quantile| {
            let ranges = latencies.map(|of_one| quantile_range(of_one, quantile, RISK / 2.0));
            let apart = |lower: QuantileRange, upper: QuantileRange| {
                lower.high.is_some_and(|high| high <= upper.low)
            };
            let differ = apart(ranges.old, ranges.new) || apart(ranges.new, ranges.old);
            QuantileComparison { quantile, ranges, differ }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [u64; 4] = [10, 20, 40, 80];

    fn of(old: &[u64; 5], new: &[u64; 5], failures: (u64, u64)) -> Comparison {
        let histogram = |counts| Histogram { bounds: &BOUNDS, counts };
        let latencies = Pair { old: histogram(&old[..]), new: histogram(&new[..]) };
        let errors = Pair {
            old: Share::of_counts(failures.0, old.iter().sum()),
            new: Share::of_counts(failures.1, new.iter().sum()),
        };
        compare(errors, latencies)
    }

    #[test]
    fn equal_versions_do_not_differ() {
        let counts = [1_000, 800, 180, 20, 0];
        let found = of(&counts, &counts, (20, 25));
        assert!(!found.errors_differ && found.quantiles.iter().all(|one| !one.differ), "{found:?}");
    }

    #[test]
    fn differences_are_found_in_either_direction() {
        let (fast, slow) = ([9_000, 800, 180, 20, 0], [0, 900, 8_000, 1_000, 100]);
        for (old, new, failures) in [(&fast, &slow, (0, 500)), (&slow, &fast, (500, 0))] {
            let found = of(old, new, failures);
            assert!(found.errors_differ, "{found:?}");
            assert!(found.quantiles.iter().all(|one| one.differ), "{found:?}");
        }
    }

    #[test]
    fn few_requests_show_nothing() {
        let found = of(&[5, 1, 0, 0, 0], &[0, 1, 5, 0, 0], (0, 2));
        assert!(!found.errors_differ && found.quantiles.iter().all(|one| !one.differ), "{found:?}");
        let found = of(&[0; 5], &[0; 5], (0, 0));
        assert!(!found.errors_differ && found.quantiles.iter().all(|one| !one.differ), "{found:?}");
    }
}
