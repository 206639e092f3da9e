//! What traffic was like lately: figures of domains, tags and backends over the last seconds, or since
//! the start.
//!
//! Requests count into the counters of `state` and know nothing of this room. A task looks at those
//! every few seconds and remembers what came in between; a report adds to it what came since.

mod counters;
mod history;
mod report;
mod sampler;
mod track;

pub use counters::Counters;
pub use report::{BackendReport, DomainReport, Figures, Query, Report, TagReport};
pub use sampler::Stats;

#[cfg(test)]
mod tests;
