//! Methods on how traffic is.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Open, PAGE};
use crate::control::{ControlError, find};
use crate::model::{
    BackendAddr, BackendId, BackendState, DomainMode, DomainName, HealthStatus, Millis, Share,
    StatsSort, StatsWindow, Tag,
};
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};
use crate::stats::{self, Query, Report};

methods! {
    /// Traffic: figures for all domains, each domain with its tags, and each backend.
    Get, "stats.get", GetParams => StatsReport, faults [NotFound];
}

/// What `stats.get` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetParams {
    /// Only this domain, by its name or an alias, and the backends of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// Only this backend, and no domain unless one is named too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendId>,
    /// The time that the figures cover. The default is 60.
    #[serde(default)]
    pub window_secs: StatsWindow,
    /// The order of the rows. The default is by rate.
    #[serde(default)]
    pub sort: StatsSort,
    /// The maximum number of domains, and of backends: 100 by default, at most 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The answer of `stats.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StatsReport {
    /// The revision of the state.
    pub revision: u64,
    /// How long the server has been counting, in milliseconds.
    #[serde(default)]
    pub uptime_ms: Millis,
    /// The requested time, in milliseconds; null for the time since the start.
    pub window_ms: Option<u64>,
    /// The time that the figures really cover, in milliseconds. It may be a few seconds longer than requested,
    /// and is shorter just after a start.
    #[serde(default)]
    pub covered_ms: Millis,
    /// All domains together, including removed ones.
    pub total: Figures,
    /// Requests per second in each of the last steps of about five seconds, at most twelve, the oldest first.
    #[serde(default)]
    pub recent_rates: Vec<f64>,
    /// The domains, in the requested order.
    pub domains: Vec<DomainStats>,
    /// How many domains were left out.
    pub more_domains: usize,
    /// The backends: unhealthy ones first, except in the order by name; then in the requested order.
    pub backends: Vec<BackendStats>,
    /// How many backends were left out.
    pub more_backends: usize,
}

/// Figures on requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Figures {
    /// Requests that ended in the time.
    pub requests: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that ended, per second.
    pub rate: f64,
    /// Requests that failed on the server's side: with status 500 or above, or with an answer that broke off.
    pub errors: u64,
    /// Their share of the requests, 0 to 1.
    pub error_share: f64,
    /// The duration that half of the requests did not exceed, accurate to two per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// The duration that 90 % of the requests did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<f64>,
    /// The duration that 99 % of the requests did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Bytes of request bodies.
    pub received_bytes: u64,
    /// Bytes of response bodies.
    pub sent_bytes: u64,
    /// The same, in bytes a second.
    pub received_rate: f64,
    /// The same, in bytes a second.
    pub sent_rate: f64,
    /// How often requests were sent to a backend again.
    pub retries: u64,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DomainStats {
    /// Its name.
    pub domain: DomainName,
    /// Its name as people write it, where that is another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unicode: Option<String>,
    /// Whether its requests are served, wait or are answered with 503.
    #[serde(default)]
    pub mode: Open<DomainMode>,
    /// The tag that serves it.
    pub live: Tag,
    /// The previous tag, which an undo goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Tag>,
    /// All its tags together.
    pub figures: Figures,
    /// Requests per second in each of the last steps of about five seconds, the oldest first.
    #[serde(default)]
    pub recent_rates: Vec<f64>,
    /// The live tag, then old tags that still have figures.
    pub tags: Vec<TagStats>,
}

/// A domain's requests on one tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TagStats {
    /// The tag.
    pub tag: Tag,
    /// Whether it is the domain's live tag.
    pub live: bool,
    /// What share of the domain's clients it has, in percent.
    #[serde(default)]
    pub share: Share,
    /// Its figures.
    pub figures: Figures,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BackendStats {
    /// Its id.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// Its tags: the pools that it belongs to.
    pub tags: BTreeSet<Tag>,
    /// The state that the operator has set.
    pub state: Open<BackendState>,
    /// Its health.
    pub health: HealthStatus,
    /// Why the last probe, or traffic since then, failed; left out if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it has this health, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Its figures. Durations are those until answers began.
    pub figures: Figures,
    /// Requests per second in each of the last steps of about five seconds, the oldest first.
    #[serde(default)]
    pub recent_rates: Vec<f64>,
}

/// Domains, and backends, that are reported when no limit is given.
const LIMIT: usize = 100;

impl Run for Get {
    async fn run(server: &Dispatch, params: GetParams, _: &Call) -> Answered<Self> {
        let GetParams { domain, backend, window_secs: window, sort, limit } = params;
        let snapshot = server.control.snapshot();
        if let Some(domain) = &domain {
            find::domain(&snapshot, domain)?;
        }
        if let Some(id) = &backend {
            find::backend(&snapshot, id)?;
        }
        let limit = limit.unwrap_or(LIMIT).min(PAGE);
        let query = Query { domain, backend, window, sort, limit };
        let made = server.facts.stats.report(query).await;
        Ok(report(&made.ok_or(ControlError::Stopping)?))
    }
}

fn report(report: &Report) -> StatsReport {
    StatsReport {
        revision: report.revision,
        uptime_ms: report.uptime.into(),
        window_ms: report.window.secs().map(|secs| secs * 1000),
        covered_ms: report.span.into(),
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
        share: virtual_host.share_of(&of.tag),
        figures: figures(&of.figures),
    };
    DomainStats {
        domain: virtual_host.domain.clone(),
        unicode: virtual_host.domain.unicode(),
        mode: virtual_host.mode().into(),
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

/// To a thousandth.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
