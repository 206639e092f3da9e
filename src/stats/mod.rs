//! Recent traffic: figures of domains, tags and backends over the last seconds, or since the start.
//!
//! Requests only use the counters of `state`. A task reads those every few seconds and records the
//! differences; a report adds the counts since the last tick.

mod carried;
mod counters;
mod history;
mod peaks;
mod recent;
mod report;
mod sampler;
mod side_by_side;
mod track;

pub(crate) use counters::Counters;
pub(crate) use recent::{MOST_MINUTES, Recent};
pub(crate) use report::{BackendReport, DomainReport, Figures, Query, Report, TagReport};
pub(crate) use sampler::Stats;
pub(crate) use side_by_side::{SideBySide, TagTraffic};

#[cfg(test)]
mod tests;
