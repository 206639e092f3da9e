//! Methods on the server as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NoParams;
use crate::counters::{Remains, Replaced};
use crate::model::{
    BackendState, DomainMode, DomainName, Finding, HealthStatus, TrialEnd, TrialReport, counted,
};
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};
use crate::state::{BackendNode, DomainNode, Snapshot};

methods! {
    /// The state of the server.
    Get, "state.get", NoParams => ServerInfo;
}

/// The server as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServerInfo {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The revision of the state.
    pub revision: u64,
    /// The addresses that it listens on: plain HTTP first, then HTTPS.
    pub listeners: Vec<String>,
    /// How many virtual hosts there are.
    pub domains: usize,
    /// How many of them are paused.
    #[serde(default)]
    pub paused: usize,
    /// How many of them are in maintenance.
    #[serde(default)]
    pub maintenance: usize,
    /// How many rollouts and guards run.
    #[serde(default)]
    pub trials: usize,
    /// How many backends there are.
    pub backends: usize,
    /// How many backends are ready and healthy.
    pub healthy: usize,
    /// How many backends are ready and unhealthy.
    pub unhealthy: usize,
    /// Open client connections.
    pub connections: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests answered since the start.
    pub requests: u64,
    /// Requests that were refused or failed since the start, by reason; reasons that never occurred
    /// are left out.
    pub refused: BTreeMap<String, u64>,
    /// Whether another program stands where the one of this process was: `server.upgrade` runs it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_program: bool,
    /// Processes that were replaced by upgrades and serve what they have, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<ReplacedInfo>,
    /// Problems that need attention.
    pub warnings: Vec<String>,
}

/// A process that was replaced by an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReplacedInfo {
    /// Its process id.
    pub pid: u32,
    /// When it was replaced, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Its open client connections.
    pub connections: usize,
    /// Its requests in flight.
    pub in_flight: usize,
}

impl Run for Get {
    async fn run(server: &Dispatch, _: NoParams, _: &Call) -> Answered<Self> {
        let snapshot = server.control.snapshot();
        let ready = || snapshot.backends().filter(|node| node.backend.state == BackendState::Ready);
        let with = |status| ready().filter(|node| node.live.health() == status).count();
        let in_flight = |node: &Arc<DomainNode>| -> usize {
            node.in_flight().map(|(_, requests)| requests).sum()
        };
        let facts = &server.facts;
        let trials = facts.trials.all();
        Ok(ServerInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_ms: facts.started_ms,
            revision: snapshot.revision(),
            listeners: facts.listeners.clone(),
            domains: snapshot.domains().len(),
            paused: in_mode(&snapshot, DomainMode::Paused).count(),
            maintenance: in_mode(&snapshot, DomainMode::Maintenance).count(),
            trials: trials.iter().filter(|trial| trial.end.is_none()).count(),
            backends: snapshot.backends().len(),
            healthy: with(HealthStatus::Healthy),
            unhealthy: with(HealthStatus::Unhealthy),
            connections: facts.metrics.connections.count(),
            in_flight: snapshot.domains().map(in_flight).sum(),
            requests: facts.metrics.requests(),
            refused: facts.metrics.refused(),
            new_program: facts.new_program.now(),
            replaced: facts.elsewhere.all().into_iter().map(replaced).collect(),
            warnings: [
                warnings(&snapshot),
                trial_warnings(&snapshot, &trials),
                server.certificates.warnings(),
                facts.warnings.now(),
            ]
            .concat(),
        })
    }
}

fn replaced(Replaced { pid, since_ms, remains }: Replaced) -> ReplacedInfo {
    let Remains { connections, in_flight, .. } = remains.unwrap_or_default();
    ReplacedInfo { pid, since_ms, connections, in_flight }
}

/// Problems that need attention.
fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let unserved = snapshot.domains().filter(|node| !has_server(snapshot, node));
    let unserved = first(unserved, "domains without a backend that can serve", |node| {
        let (domain, live) = (&node.virtual_host.domain, &node.virtual_host.live);
        format!("`{domain}` has no backend that can serve (tag `{live}`)")
    });
    let unhealthy = snapshot.backends().filter(|node| is_unhealthy(node));
    let unhealthy = first(unhealthy, "unhealthy backends", |node| {
        let reason = node.live.health_report().last_error;
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        format!("backend `{}` is unhealthy{reason}", node.backend.id)
    });
    let paused = in_mode(snapshot, DomainMode::Paused);
    let paused = first(paused, "paused domains", |node| {
        let domain = &node.virtual_host.domain;
        let waiting = counted(node.pause_line().map_or(0, |line| line.waiting()), "request");
        format!(
            "`{domain}` is paused, {waiting} waiting: `vhost ctl domain resume {domain}` ends it"
        )
    });
    let closed = in_mode(snapshot, DomainMode::Maintenance);
    let closed = first(closed, "domains in maintenance", |node| {
        let domain = &node.virtual_host.domain;
        format!("`{domain}` is in maintenance: `vhost ctl domain maintenance {domain} off` ends it")
    });
    [unserved, unhealthy, closed, paused].concat()
}

/// Trials that wait for a person.
fn trial_warnings(snapshot: &Snapshot, trials: &[TrialReport]) -> Vec<String> {
    let name =
        |trial: &TrialReport| trial.domains.first().map_or_else(String::new, ToString::to_string);
    let is_paused = |trial: &&TrialReport| {
        trial.end.is_none() && trial.rollout.as_ref().is_some_and(|rollout| rollout.is_paused)
    };
    let paused = first(trials.iter().filter(is_paused), "paused rollouts", |trial| {
        let (name, to) = (name(trial), &trial.to);
        let evidence = trial.evidence.as_ref().filter(|evidence| evidence.finding != Finding::Pass);
        let reason = evidence.map_or_else(String::new, |evidence| format!(": {}", evidence.reason));
        format!(
            "the rollout of `{to}` at `{name}` is paused{reason}: `vhost ctl rollout resume {name}` goes on, \
             `promote` makes it live, `abort` ends it"
        )
    });
    // It is over, and the tag that was found worse still serves.
    let is_alarm = |trial: &&TrialReport| {
        let serves = |domain: &DomainName| {
            let host = snapshot.domain(domain).map(|node| &node.virtual_host);
            host.is_some_and(|host| host.live == trial.to && host.beside.trial.is_none())
        };
        trial.end == Some(TrialEnd::Alarm) && trial.domains.iter().any(serves)
    };
    let alarms = first(trials.iter().filter(is_alarm), "worse tags that stay", |trial| {
        let (name, from, to) = (name(trial), &trial.from, &trial.to);
        let cause = trial.cause.as_deref().unwrap_or("it is worse");
        format!("`{to}` stays at `{name}`, for `{from}` can't take its place: {cause}")
    });
    [paused, alarms].concat()
}

fn in_mode(snapshot: &Snapshot, mode: DomainMode) -> impl Iterator<Item = &Arc<DomainNode>> {
    snapshot.domains().filter(move |node| node.virtual_host.mode() == mode)
}

/// Warnings of the first, and how many others there are.
fn first<N>(
    mut nodes: impl Iterator<Item = N>,
    others: &str,
    warning: impl Fn(N) -> String,
) -> Vec<String> {
    const MAX_WARNINGS: usize = 20;
    let mut warnings: Vec<_> = nodes.by_ref().take(MAX_WARNINGS).map(warning).collect();
    let more = nodes.count();
    if more > 0 {
        warnings.push(format!("and {more} more {others}"));
    }
    warnings
}

/// Whether the operator wants it to serve, and it can't.
fn is_unhealthy(node: &BackendNode) -> bool {
    node.backend.state == BackendState::Ready && node.live.health() == HealthStatus::Unhealthy
}

fn has_server(snapshot: &Snapshot, node: &Arc<DomainNode>) -> bool {
    snapshot.pool(&node.live().pool).is_some_and(|pool| {
        pool.ready().any(|backend| backend.live.health() != HealthStatus::Unhealthy)
    })
}
