//! Figures as `stats.get` answers with them; other doors answer with the same.

use std::time::Duration;

use super::methods::PAGE;
use super::methods::stats::{BackendStats, DomainStats, Figures, GetParams, StatsReport, TagStats};
use crate::stats::{self, Query, Report};

/// Domains, and backends, that are told of when nobody says how many.
const LIMIT: usize = 100;

/// What `params` ask for.
pub fn stats_query(params: GetParams) -> Query {
    let GetParams { domain, backend, window_secs: window, sort, limit } = params;
    Query { domain, backend, window, sort, limit: limit.unwrap_or(LIMIT).min(PAGE) }
}

/// A report as it goes out.
pub fn stats_report(report: &Report) -> StatsReport {
    StatsReport {
        revision: report.revision,
        uptime_secs: secs(report.uptime),
        window_secs: report.window.secs(),
        covered_secs: secs(report.span),
        total: figures(&report.total),
        recent_rates: rates(&report.rates),
        domains: report.domains.iter().map(domain).collect(),
        more_domains: report.more_domains,
        backends: report.backends.iter().map(backend).collect(),
        more_backends: report.more_backends,
    }
}

fn domain(report: &stats::DomainReport) -> DomainStats {
    let virtual_host = &report.node.virtual_host;
    let tag = |of: &stats::TagReport| TagStats {
        tag: of.tag.clone(),
        live: of.tag == virtual_host.live,
        figures: figures(&of.figures),
    };
    DomainStats {
        domain: virtual_host.domain.clone(),
        live: virtual_host.live.clone(),
        previous: virtual_host.previous.clone(),
        figures: figures(&report.figures),
        recent_rates: rates(&report.rates),
        tags: report.tags.iter().map(tag).collect(),
    }
}

fn backend(report: &stats::BackendReport) -> BackendStats {
    let backend = &report.node.backend;
    let health = report.node.live.health_report();
    BackendStats {
        id: backend.id.clone(),
        address: backend.address.clone(),
        tags: backend.tags.clone(),
        state: backend.state.into(),
        health: health.status,
        reason: health.last_error,
        since_ms: health.since_ms,
        figures: figures(&report.figures),
        recent_rates: rates(&report.rates),
    }
}

fn figures(figures: &stats::Figures) -> Figures {
    let counters = figures.counters;
    let quantile = |share| {
        figures.latency.quantile(share).map(|took: Duration| rounded(took.as_secs_f64() * 1000.0))
    };
    let rate = |number| rounded(figures.rate_of(number));
    Figures {
        requests: counters.requests,
        in_flight: figures.in_flight,
        rate: rate(counters.requests),
        errors: counters.errors,
        error_share: figures.error_share(),
        p50_ms: quantile(0.5),
        p90_ms: quantile(0.9),
        p99_ms: quantile(0.99),
        received_bytes: counters.received_bytes,
        sent_bytes: counters.sent_bytes,
        received_rate: rate(counters.received_bytes),
        sent_rate: rate(counters.sent_bytes),
        retries: counters.retries,
    }
}

fn rates(rates: &[f64]) -> Vec<f64> {
    rates.iter().copied().map(rounded).collect()
}

fn secs(time: Duration) -> f64 {
    rounded(time.as_secs_f64())
}

/// To a thousandth.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
