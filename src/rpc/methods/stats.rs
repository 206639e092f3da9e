//! Methods on how traffic is.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Open, method};
use crate::model::{
    BackendAddr, BackendId, BackendState, DomainName, HealthStatus, StatsSort, StatsWindow, Tag,
};

method!(/// How traffic is: figures of all domains, of each with its tags, and of each backend.
    Get, "stats.get", GetParams => StatsReport,
    faults [NotFound]);

/// What `stats.get` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetParams {
    /// Only this domain, by its name or an alias, and the backends of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// Only this backend, and no domain unless one is named too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendId>,
    /// The time that the figures are of; 60 when not given.
    #[serde(default)]
    pub window_secs: StatsWindow,
    /// What comes first; the rate when not given.
    #[serde(default)]
    pub sort: StatsSort,
    /// How many domains at most, and how many backends; 100 when not given, and never more than 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The answer of `stats.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatsReport {
    /// The revision of the state.
    pub revision: u64,
    /// How long the server has been counting.
    pub uptime_secs: f64,
    /// The time that was asked for, in seconds; null for all since the start.
    pub window_secs: Option<u64>,
    /// The time that the figures are of. A window is a few seconds longer than it says, and shorter
    /// while the server is young.
    pub covered_secs: f64,
    /// All domains together, also those that were removed since.
    pub total: Figures,
    /// Requests a second in each of the last steps of about five seconds, at most twelve, the oldest
    /// first.
    #[serde(default)]
    pub recent_rates: Vec<f64>,
    /// The domains, in the order that was asked for.
    pub domains: Vec<DomainStats>,
    /// How many domains were left out.
    pub more_domains: usize,
    /// The backends: unhealthy ones first unless they are asked for by name, then in the order that
    /// was asked for.
    pub backends: Vec<BackendStats>,
    /// How many backends were left out.
    pub more_backends: usize,
}

/// What became of requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// Requests that ended in the time.
    pub requests: u64,
    /// Requests that run now.
    pub in_flight: usize,
    /// Requests that ended, a second.
    pub rate: f64,
    /// Requests that failed at the server's side: a status of 500 and more, or an answer that broke
    /// off.
    pub errors: u64,
    /// Their share of the requests, 0 to 1.
    pub error_share: f64,
    /// The time that half of the requests did not exceed, true within two per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// The time that 90 of 100 requests did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<f64>,
    /// The time that 99 of 100 requests did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Bytes of bodies that came in.
    pub received_bytes: u64,
    /// Bytes of bodies that went out.
    pub sent_bytes: u64,
    /// The same, in bytes a second.
    pub received_rate: f64,
    /// The same, in bytes a second.
    pub sent_rate: f64,
    /// Requests that were sent again to a backend, each time counted.
    pub retries: u64,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DomainStats {
    /// Its name.
    pub domain: DomainName,
    /// The tag that serves it.
    pub live: Tag,
    /// The tag before, to which an undo goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Tag>,
    /// All its tags together.
    pub figures: Figures,
    /// Requests a second in each of the last steps of about five seconds, the oldest first.
    #[serde(default)]
    pub recent_rates: Vec<f64>,
    /// The live tag, then those left behind that still count.
    pub tags: Vec<TagStats>,
}

/// A domain's requests on one tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TagStats {
    /// The tag.
    pub tag: Tag,
    /// Whether it serves the domain now.
    pub live: bool,
    /// Its figures.
    pub figures: Figures,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackendStats {
    /// Its id.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// The pools it belongs to.
    pub tags: BTreeSet<Tag>,
    /// What the operator wants of it.
    pub state: Open<BackendState>,
    /// Whether it is fit to serve.
    pub health: HealthStatus,
    /// Why the last probe, or the traffic since, failed; absent when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is as healthy as it is, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Its figures. How long requests took is until their answers began.
    pub figures: Figures,
    /// Requests a second in each of the last steps of about five seconds, the oldest first.
    #[serde(default)]
    pub recent_rates: Vec<f64>,
}
