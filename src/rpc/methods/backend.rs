//! Methods on backends.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Changed, Listed, Open, Page, PageParams};
use crate::control::{BackendEdit, ControlError, Probed, find};
use crate::model::record::{self, Edited, New, Shown};
use crate::model::{
    Backend, BackendAddr, BackendId, BackendOptions, BackendState, DomainName, HealthReport, Tag,
    nonzero_millis,
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
    Add, "backend.add", AddParams => BackendInfo, faults [AlreadyExists];
    /// Changes a backend; options that are not given stay unchanged.
    Set, "backend.set", SetParams => BackendInfo, faults [NotFound];
    /// Drains a backend and removes it.
    Remove, "backend.remove", DrainParams => Changed, progress DrainProgress,
        faults [NotFound, Conflict, Timeout];
    /// Adds tags to a backend.
    AddTags, "backend.tag", TagParams => BackendInfo, faults [NotFound];
    /// Removes tags from a backend.
    RemoveTags, "backend.untag", TagParams => BackendInfo, faults [NotFound];
    /// Sends no new requests to a backend; its running requests finish.
    Drain, "backend.drain", DrainParams => BackendInfo, progress DrainProgress,
        faults [NotFound, Timeout];
    /// Sends requests to a backend again.
    Ready, "backend.ready", ReadyParams => BackendInfo, faults [NotFound, Unhealthy, Timeout];
    /// Probes a backend now, whatever its state. The outcome counts as that of any other probe.
    Probe, "backend.probe", BackendParams => ProbeReport, faults [NotFound];
    /// Sends neither requests nor probes to a backend.
    Disable, "backend.disable", DrainParams => BackendInfo, progress DrainProgress,
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
        Ok(BackendInfo { serves: served_by(&snapshot, node), ..backend(&snapshot, node) })
    }
}

impl Run for Add {
    async fn run(server: &Dispatch, params: AddParams, call: &Call) -> Answered<Self> {
        let AddParams { id, address, tags, options } = params;
        let options = record::patched(&BackendOptions::default(), options.values)
            .map_err(|error| ControlError::backend_option(&id, error))?;
        let state = BackendState::Ready;
        let new = Backend { id: id.clone(), address, tags, options, state };
        let snapshot = server.control.add_backend(call.caller(), new).await?;
        info(&snapshot, &id)
    }
}

impl Run for Set {
    async fn run(server: &Dispatch, params: SetParams, call: &Call) -> Answered<Self> {
        let SetParams { id, address, options, tags, state, force } = params;
        let edit = BackendEdit { address, options: options.values, tags, state, force };
        let snapshot = server.control.set_backend(call.caller(), id.clone(), edit).await?;
        info(&snapshot, &id)
    }
}

impl Run for Remove {
    async fn run(server: &Dispatch, params: DrainParams, call: &Call) -> Answered<Self> {
        let DrainParams { id, wait: _, timeout_ms, force } = params;
        let timeout = timeout_ms.map(Duration::from_millis);
        let report = call.reporter::<Self>();
        let progress = move |remaining| report(DrainProgress { remaining });
        let (control, caller) = (server.control.clone(), call.caller());
        let snapshot = to_its_end(async move {
            control.remove_backend(caller, id, timeout, force, progress).await
        })
        .await?;
        Ok(Changed { revision: snapshot.revision() })
    }
}

impl Run for AddTags {
    async fn run(server: &Dispatch, params: TagParams, call: &Call) -> Answered<Self> {
        let TagParams { id, tags, force: _ } = params;
        let snapshot = server.control.tag_backend(call.caller(), id.clone(), tags).await?;
        info(&snapshot, &id)
    }
}

impl Run for RemoveTags {
    async fn run(server: &Dispatch, params: TagParams, call: &Call) -> Answered<Self> {
        let TagParams { id, tags, force } = params;
        let snapshot = server.control.untag_backend(call.caller(), id.clone(), tags, force).await?;
        info(&snapshot, &id)
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
        server.control.set_backend_state(call.caller(), id.clone(), state, false).await?;
        if wait {
            let timeout = timeout_ms.map(Duration::from_millis);
            server.control.wait_backend_healthy(&id, timeout).await?;
        }
        info(&server.control.snapshot(), &id)
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
) -> Result<BackendInfo, Failure> {
    server.control.set_backend_state(call.caller(), id.clone(), state, force).await?;
    if wait {
        let report = call.reporter::<M>();
        let progress = move |remaining| report(DrainProgress { remaining });
        let timeout = timeout_ms.map(Duration::from_millis);
        server.control.drain_backend(&id, timeout, progress).await?;
    }
    info(&server.control.snapshot(), &id)
}

fn info(snapshot: &Snapshot, id: &BackendId) -> Result<BackendInfo, Failure> {
    Ok(backend(snapshot, find::backend(snapshot, id)?))
}

/// A backend with its observed state; in lists without the domains that it serves.
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
    }
}

/// The domains that the backend serves, wholly or at some paths.
fn served_by(snapshot: &Snapshot, node: &BackendNode) -> Vec<DomainName> {
    if node.backend.state != BackendState::Ready {
        return Vec::new();
    }
    snapshot
        .domains()
        .filter(|domain| domain.virtual_host.serving().any(|tag| node.backend.tags.contains(tag)))
        .take(MAX_SERVED)
        .map(|domain| domain.virtual_host.domain.clone())
        .collect()
}
