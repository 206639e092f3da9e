//! Compares a new version with an old one by their live traffic: how sure one may be that it fails
//! more often or answers later. Pure arithmetic; who counts and who acts is elsewhere.
//!
//! docs/rollout.md explains the method and has the measured table.

mod cap;
mod compare;
mod counts;
mod gamma;
mod latency;
mod proportions;
mod streak;
mod verdict;

#[cfg(test)]
mod chance;
#[cfg(test)]
mod power;
#[cfg(test)]
mod simulation;

pub use cap::{Evidence, Limited, Network, Traffic, capped};
pub use compare::{Comparison, QuantileComparison, compare};
pub use counts::{Counts, Interval, Pair, Share};
pub use latency::{Histogram, QuantileRange, quantile_range, slow_threshold};
pub use proportions::{Difference, difference, exceeds, is_below};
pub use streak::streak_to_trip;
pub use verdict::{Finding, Limits, Measured, SLOW_MARGIN, SLOW_SHARE, Verdict, judge, measure};
