//! Methods on virtual hosts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rollout::TrialStanding;
use super::{Changed, Confirmed, Listed, Open, Page, PageParams};
use crate::control::{ControlError, DomainEdit, Effect, NewDomain, find};
use crate::model::record::{self, Edited, New, Shown};
use crate::model::{
    BackendState, Beside, DomainMode, DomainName, HealthStatus, HostOptions, PoolName,
    ReleaseLabel, Tag, TagShare, TopOptions, TrialReport, VirtualHost, nonzero_millis,
};
use crate::rpc::dispatch::{Call, Dispatch, Failure};
use crate::rpc::run::{Answered, Run, methods};
use crate::state::{DomainNode, Snapshot};

methods! {
    /// The virtual hosts by name, page by page.
    List, "domain.list", PageParams<DomainName> => Page<DomainInfo>;
    /// One virtual host, by its name or an alias.
    Show, "domain.show", DomainParams => DomainInfo, faults [NotFound];
    /// Adds a virtual host.
    Add, "domain.add", AddParams => Confirmed<DomainInfo>, faults [NotFound, AlreadyExists];
    /// Changes a virtual host's options; options that are not given stay unchanged.
    Set, "domain.set", SetParams => Confirmed<DomainInfo>, faults [NotFound, AlreadyExists];
    /// Removes a virtual host with its aliases.
    Remove, "domain.remove", DomainParams => Confirmed<Changed>, faults [NotFound];
    /// Waits until the live tag is healthy, or until the old tags have drained.
    Wait, "domain.wait", WaitParams => DomainInfo, progress WaitProgress,
        faults [NotFound, Unhealthy, Timeout];
}

/// Names one virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DomainParams {
    /// Its name or an alias of it.
    pub domain: DomainName,
}

/// What `domain.add` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddParams {
    /// The new name.
    pub domain: DomainName,
    /// Its live tag.
    pub tag: Tag,
    #[serde(flatten)]
    pub top: New<TopOptions>,
    /// Its other options, by the keys of the config file.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "HostOptions")]
    pub options: Map<String, Value>,
    /// Add it even if no backend carries the tag yet.
    #[serde(default)]
    pub force: bool,
}

/// What `domain.set` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetParams {
    /// The virtual host.
    pub domain: DomainName,
    #[serde(flatten)]
    pub top: Edited<TopOptions>,
    /// Changes of its other options: a JSON merge patch (RFC 7396), so null removes one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "Option<HostOptions>")]
    pub options: Map<String, Value>,
}

/// What `domain.wait` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitParams {
    /// The virtual host.
    pub domain: DomainName,
    /// What to wait for.
    pub until: WaitFor,
    /// How long to wait. The default is the time-out of the gate or of the drain.
    #[serde(default, deserialize_with = "nonzero_millis")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
}

/// What `domain.wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WaitFor {
    /// Every ready backend of the live tag is healthy.
    Healthy,
    /// No request is running on a tag that is neither live nor serves a path.
    Drained,
}

/// The progress of `domain.wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WaitProgress {
    /// Backends not yet healthy, or requests not yet ended.
    pub remaining: usize,
}

impl Listed for DomainInfo {
    const MEMBER: &'static str = "domains";
    const PAGE_NAME: &'static str = "DomainList";
    type Key = DomainName;
}

/// A virtual host with what serves it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DomainInfo {
    /// The revision of the state that was read.
    pub revision: u64,
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
    /// The tag before the last switch.
    pub previous: Option<Tag>,
    /// The label of the version that was deployed there; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseLabel>,
    /// The tags that share its clients, in percent, the live one first; left out while that has all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<TagShare>,
    /// The rollout or the guard that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStanding>,
    /// How many previews it has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub previews: usize,
    #[serde(flatten)]
    pub top: Shown<TopOptions>,
    /// Its other options. Hashes of passwords are not shown.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// Backends that carry the live tag.
    pub backends: PoolInfo,
    /// Requests in flight by tag, the live tag first.
    pub in_flight: Vec<TagInFlight>,
    /// Requests that wait for it to be resumed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// How many backends of a pool can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PoolInfo {
    /// All that carry the tag.
    pub total: usize,
    /// Those in the state `ready`.
    pub ready: usize,
    /// How many of those are healthy.
    pub healthy: usize,
}

/// Requests in flight on one tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TagInFlight {
    /// The tag.
    pub tag: Tag,
    /// How many requests of this domain run there.
    pub requests: usize,
}

impl Run for List {
    async fn run(server: &Dispatch, params: PageParams<DomainName>, _: &Call) -> Answered<Self> {
        let snapshot = server.control.snapshot();
        // Many domains share a tag: its backends are counted once a page.
        let mut pools: HashMap<&PoolName, PoolInfo> = HashMap::new();
        let nodes = snapshot.domains_after(params.after.as_ref());
        let (page, next) = params.take(nodes, |node| node.virtual_host.domain.clone());
        let trials = running(server, page.iter().copied());
        let entries = page.into_iter().map(|node| {
            let live = &node.live().pool;
            let pool = *pools.entry(live).or_insert_with(|| pool(&snapshot, live));
            served(&snapshot, node, pool, &trials)
        });
        let entries = entries.collect();
        Ok(Page { revision: snapshot.revision(), entries, next })
    }
}

impl Run for Show {
    async fn run(server: &Dispatch, params: DomainParams, _: &Call) -> Answered<Self> {
        let DomainParams { domain } = params;
        info(server, &server.control.snapshot(), &domain)
    }
}

impl Run for Add {
    async fn run(server: &Dispatch, params: AddParams, call: &Call) -> Answered<Self> {
        let AddParams { domain, tag: live, top, options, force } = params;
        let refuse = |error| ControlError::domain_option(&domain, error);
        let top = record::patched(&TopOptions::default(), top.values).map_err(refuse)?;
        let options = HostOptions::default().patched(options).map_err(refuse)?;
        let virtual_host = VirtualHost {
            domain: domain.clone(),
            live,
            previous: None,
            beside: Beside::default(),
            top,
            options,
        };
        let new = NewDomain { virtual_host, force };
        changed(server, server.control.add_domain(call.caller(), new).await?, &domain)
    }
}

impl Run for Set {
    async fn run(server: &Dispatch, params: SetParams, call: &Call) -> Answered<Self> {
        let SetParams { domain, top, options } = params;
        let edit = DomainEdit { top: top.values, options };
        let set = server.control.set_domain(call.caller(), domain.clone(), edit).await?;
        changed(server, set, &domain)
    }
}

impl Run for Remove {
    async fn run(server: &Dispatch, params: DomainParams, call: &Call) -> Answered<Self> {
        let DomainParams { domain } = params;
        let Effect { snapshot, changed } =
            server.control.remove_domain(call.caller(), domain).await?;
        Ok(Confirmed::new(Changed { revision: snapshot.revision() }, changed))
    }
}

impl Run for Wait {
    async fn run(server: &Dispatch, params: WaitParams, call: &Call) -> Answered<Self> {
        let WaitParams { domain, until, timeout_ms } = params;
        let timeout = timeout_ms.map(Duration::from_millis);
        let report = call.reporter::<Self>();
        let progress = move |remaining| report(WaitProgress { remaining });
        match until {
            WaitFor::Healthy => {
                server.control.wait_healthy(&domain, timeout, progress).await?;
            }
            WaitFor::Drained => {
                server.control.wait_drained(&domain, timeout, progress).await?;
            }
        }
        info(server, &server.control.snapshot(), &domain)
    }
}

/// The virtual host after a change.
fn changed(
    server: &Dispatch,
    effect: Effect,
    name: &DomainName,
) -> Result<Confirmed<DomainInfo>, Failure> {
    let Effect { snapshot, changed } = effect;
    Ok(Confirmed::new(info(server, &snapshot, name)?, changed))
}

/// A virtual host with what serves it now.
fn info(server: &Dispatch, snapshot: &Snapshot, name: &DomainName) -> Result<DomainInfo, Failure> {
    let node = find::domain(snapshot, name)?;
    let trials = running(server, [node]);
    Ok(served(snapshot, node, pool(snapshot, &node.live().pool), &trials))
}

/// The rollouts and guards, if one of these domains has one: to look at them takes a while.
pub(super) fn running<'n>(
    server: &Dispatch,
    nodes: impl IntoIterator<Item = &'n Arc<DomainNode>>,
) -> Vec<TrialReport> {
    let is_any = nodes.into_iter().any(|node| node.virtual_host.beside.trial.is_some());
    if is_any { server.facts.trials.all() } else { Vec::new() }
}

/// How the trial of a domain stands.
pub(super) fn trial_of(host: &VirtualHost, trials: &[TrialReport]) -> Option<TrialStanding> {
    let id = host.beside.trial.as_ref()?.id;
    trials.iter().find(|report| report.id == id).map(TrialStanding::from)
}

fn served(
    snapshot: &Snapshot,
    node: &DomainNode,
    backends: PoolInfo,
    trials: &[TrialReport],
) -> DomainInfo {
    let virtual_host = &node.virtual_host;
    let live = &virtual_host.live;
    DomainInfo {
        revision: snapshot.revision(),
        domain: virtual_host.domain.clone(),
        unicode: virtual_host.domain.unicode(),
        mode: virtual_host.mode().into(),
        live: live.clone(),
        previous: virtual_host.previous.clone(),
        release: node.live().release.clone(),
        shares: virtual_host.shares(),
        trial: trial_of(virtual_host, trials),
        previews: virtual_host.beside.previews.len(),
        top: (&virtual_host.top).into(),
        options: virtual_host.options.shown(),
        backends,
        in_flight: node
            .in_flight()
            .filter(|(tag, requests)| *tag == live || *requests > 0)
            .map(|(tag, requests)| TagInFlight { tag: tag.clone(), requests })
            .collect(),
        waiting: node.pause_line().map_or(0, |line| line.waiting()),
    }
}

/// How many backends of a pool can serve.
pub(super) fn pool(snapshot: &Snapshot, name: &PoolName) -> PoolInfo {
    let mut info = PoolInfo { total: 0, ready: 0, healthy: 0 };
    for node in snapshot.pool(name).into_iter().flat_map(|pool| pool.backends()) {
        info.total += 1;
        if node.backend.state == BackendState::Ready {
            info.ready += 1;
            info.healthy += usize::from(node.live.health() == HealthStatus::Healthy);
        }
    }
    info
}
