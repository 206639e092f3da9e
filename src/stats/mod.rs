//! Recent traffic: figures of domains, tags and backends over the last seconds, or since the start.
//!
//! Requests only use the counters of `state`. A task reads those every few seconds and records the
//! differences; a report adds the counts since the last tick.

mod carried;
mod counters;
mod history;
mod report;
mod sampler;
mod track;

pub(crate) use counters::Counters;
pub(crate) use report::{BackendReport, DomainReport, Figures, Query, Report, TagReport};
pub(crate) use sampler::Stats;

#[cfg(test)]
mod tests;
