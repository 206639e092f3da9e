//! Methods on backends.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Changed, Confirmed, Listed, Open, Page, PageParams};
use crate::control::{BackendEdit, ControlError, Effect, Probed, find};
use crate::model::record::{self, Edited, New, Shown};
use crate::model::{
    Backend, BackendAddr, BackendId, BackendOptions, BackendState, DomainName, HealthCheckOptions,
    HealthReport, Tag, nonzero_millis,
};
use crate::rpc::dispatch::{Call, Dispatch, Failure, to_its_end};
use crate::rpc::method::Method;
use crate::rpc::run::{Answered, Run, methods};
use crate::state::{BackendNode, Snapshot};

/// Domains that `backend.show` names at most.
const MAX_SERVED: usize = 10;

methods! {
    /// The backends by id, page by page.
    List, "backend.list", PageParams<BackendId> => Page<BackendInfo>;
    /// One backend.
    Show, "backend.show", BackendParams => BackendInfo, faults [NotFound];
    /// Adds a backend; it is probed at once.
    Add, "backend.add", AddParams => Confirmed<BackendInfo>, faults [AlreadyExists];
    /// Changes a backend; options that are not given stay unchanged.
    Set, "backend.set", SetParams => Confirmed<BackendInfo>, faults [NotFound];
    /// Drains a backend and removes it.
    Remove, "backend.remove", DrainParams => Confirmed<Changed>, progress DrainProgress,
        faults [NotFound, Conflict, Timeout];
    /// Adds tags to a backend.
    AddTags, "backend.tag", TagParams => Confirmed<BackendInfo>, faults [NotFound];
    /// Removes tags from a backend.
    RemoveTags, "backend.untag", TagParams => Confirmed<BackendInfo>, faults [NotFound];
    /// Sends no new requests to a backend; its running requests finish.
    Drain, "backend.drain", DrainParams => Confirmed<BackendInfo>, progress DrainProgress,
        faults [NotFound, Timeout];
    /// Sends requests to a backend again.
    Ready, "backend.ready", ReadyParams => Confirmed<BackendInfo>, faults [NotFound, Unhealthy, Timeout];
    /// Probes a backend now, whatever its state. The outcome counts as that of any other probe.
    Probe, "backend.probe", BackendParams => ProbeReport, faults [NotFound];
    /// Sends neither requests nor probes to a backend.
    Disable, "backend.disable", DrainParams => Confirmed<BackendInfo>, progress DrainProgress,
        faults [NotFound, Timeout];
}

/// Names one backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackendParams {
    /// Its id.
    pub id: BackendId,
}

/// What `backend.add` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddParams {
    /// The new id.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// Its tags: the pools that it belongs to.
    #[serde(default)]
    pub tags: BTreeSet<Tag>,
    #[serde(flatten)]
    pub options: New<BackendOptions>,
}

/// What `backend.set` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetParams {
    /// The backend.
    pub id: BackendId,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<BackendAddr>,
    #[serde(flatten)]
    pub options: Edited<BackendOptions>,
    /// All of its new tags; they replace the old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeSet<Tag>>,
    /// The state that the operator has set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BackendState>,
    /// Do it even if a live tag loses its last healthy backend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// What `backend.tag` and `backend.untag` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagParams {
    /// The backend.
    pub id: BackendId,
    /// The tags to add or to remove.
    pub tags: BTreeSet<Tag>,
    /// Do it even if a live tag loses its last healthy backend.
    #[serde(default)]
    pub force: bool,
}

/// What `backend.drain`, `backend.disable` and `backend.remove` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainParams {
    /// The backend.
    pub id: BackendId,
    /// Answer when its requests have ended, not at once. A removal always waits.
    #[serde(default)]
    pub wait: bool,
    /// How long to wait. The default is the config's drain time-out.
    #[serde(default, deserialize_with = "nonzero_millis")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// Do it even if a live tag loses its last healthy backend.
    #[serde(default)]
    pub force: bool,
}

/// What `backend.ready` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadyParams {
    /// The backend.
    pub id: BackendId,
    /// Answer when it is healthy, not at once.
    #[serde(default)]
    pub wait: bool,
    /// How long to wait. The default is the config's gate time-out.
    #[serde(default, deserialize_with = "nonzero_millis")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
}

/// The outcome of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProbeReport {
    /// The backend.
    pub id: BackendId,
    /// Whether this probe succeeded. It takes several in a row to make a backend healthy or unhealthy.
    pub succeeded: bool,
    /// Its health after the probe.
    pub health: HealthReport,
}

/// The progress of a drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DrainProgress {
    /// Requests that have not ended.
    pub remaining: usize,
}

impl Listed for BackendInfo {
    const MEMBER: &'static str = "backends";
    const PAGE_NAME: &'static str = "BackendList";
    type Key = BackendId;
}

/// A backend with its observed state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BackendInfo {
    /// The revision of the state that was read.
    pub revision: u64,
    /// Its id.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// The addresses that its name resolves to now, or its socket's path.
    pub resolved: Vec<String>,
    /// Its tags: the pools that it belongs to.
    pub tags: BTreeSet<Tag>,
    #[serde(flatten)]
    pub options: Shown<BackendOptions>,
    /// The state that the operator has set.
    pub state: Open<BackendState>,
    /// Its observed health.
    pub health: HealthReport,
    /// Its requests in flight.
    pub in_flight: usize,
    /// Requests that were sent to it since the server started, retries included.
    pub requests: u64,
    /// Failed tries since the server started.
    pub failures: u64,
    /// Domains that it serves now; at most ten, by name. Empty in lists.
    #[serde(default)]
    pub serves: Vec<DomainName>,
    /// The health check by which it is probed now, with every key, wherever that comes from. Not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_in_effect: Option<Shown<HealthCheckOptions>>,
}

impl Run for List {
    async fn run(server: &Dispatch, params: PageParams<BackendId>, _: &Call) -> Answered<Self> {
        let snapshot = server.control.snapshot();
        let nodes = snapshot.backends_after(params.after.as_ref());
        let (page, next) = params.take(nodes, |node| node.backend.id.clone());
        let entries = page.into_iter().map(|node| backend(&snapshot, node)).collect();
        Ok(Page { revision: snapshot.revision(), entries, next })
    }
}

impl Run for Show {
    async fn run(server: &Dispatch, params: BackendParams, _: &Call) -> Answered<Self> {
        let BackendParams { id } = params;
        let snapshot = server.control.snapshot();
        let node = find::backend(&snapshot, &id)?;
        Ok(BackendInfo { serves: served_by(&snapshot, node), ..in_full(server, &snapshot, node) })
    }
}

impl Run for Add {
    async fn run(server: &Dispatch, params: AddParams, call: &Call) -> Answered<Self> {
        let AddParams { id, address, tags, options } = params;
        let options = record::patched(&BackendOptions::default(), options.values)
            .map_err(|error| ControlError::backend_option(&id, error))?;
        let state = BackendState::Ready;
        let new = Backend { id: id.clone(), address, tags, options, state };
        changed(server, server.control.add_backend(call.caller(), new).await?, &id)
    }
}

impl Run for Set {
    async fn run(server: &Dispatch, params: SetParams, call: &Call) -> Answered<Self> {
        let SetParams { id, address, options, tags, state, force } = params;
        let edit = BackendEdit { address, options: options.values, tags, state, force };
        let effect = server.control.set_backend(call.caller(), id.clone(), edit).await?;
        changed(server, effect, &id)
    }
}

impl Run for Remove {
    async fn run(server: &Dispatch, params: DrainParams, call: &Call) -> Answered<Self> {
        let DrainParams { id, wait: _, timeout_ms, force } = params;
        let timeout = timeout_ms.map(Duration::from_millis);
        let report = call.reporter::<Self>();
        let progress = move |remaining| report(DrainProgress { remaining });
        let (control, caller) = (server.control.clone(), call.caller());
        let Effect { snapshot, changed } = to_its_end(async move {
            control.remove_backend(caller, id, timeout, force, progress).await
        })
        .await?;
        Ok(Confirmed::new(Changed { revision: snapshot.revision() }, changed))
    }
}

impl Run for AddTags {
    async fn run(server: &Dispatch, params: TagParams, call: &Call) -> Answered<Self> {
        let TagParams { id, tags, force: _ } = params;
        changed(server, server.control.tag_backend(call.caller(), id.clone(), tags).await?, &id)
    }
}

impl Run for RemoveTags {
    async fn run(server: &Dispatch, params: TagParams, call: &Call) -> Answered<Self> {
        let TagParams { id, tags, force } = params;
        let effect = server.control.untag_backend(call.caller(), id.clone(), tags, force).await?;
        changed(server, effect, &id)
    }
}

impl Run for Drain {
    async fn run(server: &Dispatch, params: DrainParams, call: &Call) -> Answered<Self> {
        take_out::<Self>(server, params, call, BackendState::Draining).await
    }
}

impl Run for Disable {
    async fn run(server: &Dispatch, params: DrainParams, call: &Call) -> Answered<Self> {
        take_out::<Self>(server, params, call, BackendState::Disabled).await
    }
}

impl Run for Ready {
    async fn run(server: &Dispatch, params: ReadyParams, call: &Call) -> Answered<Self> {
        let ReadyParams { id, wait, timeout_ms } = params;
        let state = BackendState::Ready;
        let effect =
            server.control.set_backend_state(call.caller(), id.clone(), state, false).await?;
        if wait {
            let timeout = timeout_ms.map(Duration::from_millis);
            server.control.wait_backend_healthy(&id, timeout).await?;
        }
        changed(server, Effect { snapshot: server.control.snapshot(), ..effect }, &id)
    }
}

impl Run for Probe {
    async fn run(server: &Dispatch, params: BackendParams, _: &Call) -> Answered<Self> {
        let BackendParams { id } = params;
        let Probed { succeeded, report } = server.control.probe_backend(&id).await?;
        Ok(ProbeReport { id, succeeded, health: report })
    }
}

/// Takes a backend out of service; where the caller waits, until its requests have ended.
async fn take_out<M: Method<Progress = DrainProgress>>(
    server: &Dispatch,
    DrainParams { id, wait, timeout_ms, force }: DrainParams,
    call: &Call,
    state: BackendState,
) -> Result<Confirmed<BackendInfo>, Failure> {
    let effect = server.control.set_backend_state(call.caller(), id.clone(), state, force).await?;
    if wait {
        let report = call.reporter::<M>();
        let progress = move |remaining| report(DrainProgress { remaining });
        let timeout = timeout_ms.map(Duration::from_millis);
        server.control.drain_backend(&id, timeout, progress).await?;
    }
    changed(server, Effect { snapshot: server.control.snapshot(), ..effect }, &id)
}

/// The backend after a change.
fn changed(
    server: &Dispatch,
    effect: Effect,
    id: &BackendId,
) -> Result<Confirmed<BackendInfo>, Failure> {
    let Effect { snapshot, changed } = effect;
    let now = in_full(server, &snapshot, find::backend(&snapshot, id)?);
    Ok(Confirmed::new(now, changed))
}

/// A backend with its observed state, and how that is observed.
fn in_full(server: &Dispatch, snapshot: &Snapshot, node: &BackendNode) -> BackendInfo {
    let (address, options) = (&node.backend.address, server.control.options());
    let own = node.health_check();
    let check = own.check_over(&options.health_check).at(address).in_full(address);
    let (mut shown, own) = (Shown::from(&check), record::values(&**own));
    for (key, written) in &options.health_check_written {
        if !own.contains_key(key) && shown.values.contains_key(key) {
            shown.values.insert(key.clone(), written.clone());
        }
    }
    BackendInfo { health_check_in_effect: Some(shown), ..backend(snapshot, node) }
}

/// A backend with its observed state, as lists have it.
fn backend(snapshot: &Snapshot, node: &BackendNode) -> BackendInfo {
    let backend = &node.backend;
    BackendInfo {
        revision: snapshot.revision(),
        id: backend.id.clone(),
        address: backend.address.clone(),
        resolved: node.live.endpoints().texts(),
        tags: backend.tags.clone(),
        options: (&backend.options).into(),
        state: backend.state.into(),
        health: node.live.health_report(),
        in_flight: node.live.in_flight(),
        requests: node.live.requests(),
        failures: node.live.failures(),
        serves: Vec::new(),
        health_check_in_effect: None,
    }
}

/// The domains that the backend serves, wholly or at some paths.
fn served_by(snapshot: &Snapshot, node: &BackendNode) -> Vec<DomainName> {
    if node.backend.state != BackendState::Ready {
        return Vec::new();
    }
    snapshot
        .domains()
        .filter(|domain| domain.virtual_host.serving_pools().any(|pool| node.backend.is_in(&pool)))
        .take(MAX_SERVED)
        .map(|domain| domain.virtual_host.domain.clone())
        .collect()
}
