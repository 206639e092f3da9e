//! Methods on backends.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Changed, Listed, Open, Page, PageParams};
use crate::control::{BackendEdit, Probed};
use crate::model::{
    Backend, BackendAddr, BackendId, BackendState, BackendTls, BackendTlsEdit, DomainName,
    HealthReport, Patch, Scheme, SendProxyProtocol, Tag, TlsName, Weight,
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
    /// Changes a backend; what is not given stays.
    Set, "backend.set", SetParams => BackendInfo, faults [NotFound];
    /// Drains a backend and removes it.
    Remove, "backend.remove", DrainParams => Changed, progress DrainProgress,
        faults [NotFound, Conflict, Timeout];
    /// Adds tags to a backend.
    AddTags, "backend.tag", TagParams => BackendInfo, faults [NotFound];
    /// Takes tags away from a backend.
    RemoveTags, "backend.untag", TagParams => BackendInfo, faults [NotFound];
    /// Sends a backend no new requests; those it has, it finishes.
    Drain, "backend.drain", DrainParams => BackendInfo, progress DrainProgress,
        faults [NotFound, Timeout];
    /// Sends a backend requests again.
    Ready, "backend.ready", ReadyParams => BackendInfo, faults [NotFound, Unhealthy, Timeout];
    /// Probes a backend now, in whatever state it is. The outcome counts as that of any other probe.
    Probe, "backend.probe", BackendParams => ProbeReport, faults [NotFound];
    /// Sends a backend neither requests nor probes.
    Disable, "backend.disable", DrainParams => BackendInfo, progress DrainProgress,
        faults [NotFound, Timeout];
}

/// Names one backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendParams {
    /// Its id.
    pub id: BackendId,
}

/// What `backend.add` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddParams {
    /// The new id.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// The pools it joins.
    #[serde(default)]
    pub tags: BTreeSet<Tag>,
    /// Its share of a pool's traffic.
    #[serde(default)]
    pub weight: Weight,
    /// How it is spoken to.
    #[serde(default)]
    pub scheme: Scheme,
    /// The name that is asked for (SNI) and verified; the host of the address when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<TlsName>,
    /// The file of the CAs to trust instead of the system's, PEM; its whole path on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<PathBuf>,
    /// The file of the certificate that the backend is shown, PEM; its whole path on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_cert_file: Option<PathBuf>,
    /// The file of that certificate's private key, PEM; its whole path on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_key_file: Option<PathBuf>,
    /// Whether the backend's certificate is not verified at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls_insecure_skip_verify: bool,
    /// Whether it serves only while no other backend of a pool is fit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// Whether connections to it begin with a header of the PROXY protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_proxy_protocol: Option<SendProxyProtocol>,
}

impl AddParams {
    /// A backend of which nothing else is said.
    pub fn new(id: BackendId, address: BackendAddr) -> Self {
        Self {
            id,
            address,
            tags: BTreeSet::new(),
            weight: Weight::default(),
            scheme: Scheme::default(),
            tls_server_name: None,
            tls_ca_file: None,
            tls_client_cert_file: None,
            tls_client_key_file: None,
            tls_insecure_skip_verify: false,
            backup: false,
            send_proxy_protocol: None,
        }
    }
}

/// What `backend.set` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParams {
    /// The backend.
    pub id: BackendId,
    /// Where it listens.
    pub address: Option<BackendAddr>,
    /// Its share of a pool's traffic.
    pub weight: Option<Weight>,
    /// How it is spoken to.
    pub scheme: Option<Scheme>,
    /// The name that is asked for (SNI) and verified; null is the host of the address.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub tls_server_name: Patch<TlsName>,
    /// The file of the CAs to trust, PEM; null is the system's.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub tls_ca_file: Patch<PathBuf>,
    /// The file of the certificate that the backend is shown, PEM; null is none.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub tls_client_cert_file: Patch<PathBuf>,
    /// The file of that certificate's private key, PEM; null is none.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub tls_client_key_file: Patch<PathBuf>,
    /// Whether the backend's certificate is not verified at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_insecure_skip_verify: Option<bool>,
    /// Whether it serves only while no other backend of a pool is fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<bool>,
    /// Whether connections to it begin with a header of the PROXY protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_proxy_protocol: Option<SendProxyProtocol>,
    /// The whole new set of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeSet<Tag>>,
    /// What the operator wants of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BackendState>,
    /// Do it although a live tag loses its last healthy backend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl SetParams {
    /// A change of nothing.
    pub fn new(id: BackendId) -> Self {
        Self {
            id,
            address: None,
            weight: None,
            scheme: None,
            tls_server_name: Patch::Keep,
            tls_ca_file: Patch::Keep,
            tls_client_cert_file: Patch::Keep,
            tls_client_key_file: Patch::Keep,
            tls_insecure_skip_verify: None,
            backup: None,
            send_proxy_protocol: None,
            tags: None,
            state: None,
            force: false,
        }
    }
}

/// What `backend.tag` and `backend.untag` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagParams {
    /// The backend.
    pub id: BackendId,
    /// The tags to add or to take away.
    pub tags: BTreeSet<Tag>,
    /// Do it although a live tag loses its last healthy backend.
    #[serde(default)]
    pub force: bool,
}

/// What `backend.drain`, `backend.disable` and `backend.remove` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainParams {
    /// The backend.
    pub id: BackendId,
    /// Answer when its requests have ended, not at once. A removal always waits.
    #[serde(default)]
    pub wait: bool,
    /// How long to wait; the drain time-out of the config when not given.
    pub timeout_ms: Option<u64>,
    /// Do it although a live tag loses its last healthy backend.
    #[serde(default)]
    pub force: bool,
}

/// What `backend.ready` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadyParams {
    /// The backend.
    pub id: BackendId,
    /// Answer when it is healthy, not at once.
    #[serde(default)]
    pub wait: bool,
    /// How long to wait; the gate time-out of the config when not given.
    pub timeout_ms: Option<u64>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeReport {
    /// The backend.
    pub id: BackendId,
    /// Whether this very probe succeeded. What makes the backend healthy or unhealthy is several in a
    /// row.
    pub succeeded: bool,
    /// What is known of it after the probe.
    pub health: HealthReport,
}

/// How far a drain is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrainProgress {
    /// Requests that have not ended.
    pub remaining: usize,
}

impl Listed for BackendInfo {
    const MEMBER: &'static str = "backends";
    const PAGE_NAME: &'static str = "BackendList";
    type Key = BackendId;
}

/// A backend with what is observed of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackendInfo {
    /// The revision of the state that was read.
    pub revision: u64,
    /// Its id.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// The addresses that its name stands for now, or its socket's path.
    pub resolved: Vec<String>,
    /// The pools it belongs to.
    pub tags: BTreeSet<Tag>,
    /// Its share of a pool's traffic.
    pub weight: Weight,
    /// How it is spoken to.
    pub scheme: Open<Scheme>,
    /// The name that is asked for (SNI) and verified; the host of the address when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<TlsName>,
    /// The file of the CAs to trust instead of the system's, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<PathBuf>,
    /// The file of the certificate that the backend is shown, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_cert_file: Option<PathBuf>,
    /// The file of that certificate's private key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_key_file: Option<PathBuf>,
    /// Whether the backend's certificate is not verified at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls_insecure_skip_verify: bool,
    /// What the operator wants of it.
    pub state: Open<BackendState>,
    /// Whether it serves only while no other backend of a pool is fit.
    #[serde(default)]
    pub backup: bool,
    /// Whether connections to it begin with a header of the PROXY protocol.
    #[serde(default)]
    pub send_proxy_protocol: Open<SendProxyProtocol>,
    /// What was observed of it.
    pub health: HealthReport,
    /// Requests that run there.
    pub in_flight: usize,
    /// Requests sent there since the server started, tries included.
    pub requests: u64,
    /// Tries that failed since the server started.
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
        let node = server.control.find_backend(&snapshot, &id)?;
        Ok(BackendInfo { serves: served_by(&snapshot, &node), ..backend(&snapshot, &node) })
    }
}

impl Run for Add {
    async fn run(server: &Dispatch, params: AddParams, call: &Call) -> Answered<Self> {
        let id = params.id.clone();
        let new = Backend {
            id: params.id,
            address: params.address,
            tags: params.tags,
            weight: params.weight,
            scheme: params.scheme,
            tls: BackendTls {
                server_name: params.tls_server_name,
                ca_file: params.tls_ca_file,
                client_cert_file: params.tls_client_cert_file,
                client_key_file: params.tls_client_key_file,
                insecure_skip_verify: params.tls_insecure_skip_verify,
            },
            state: BackendState::Ready,
            backup: params.backup,
            send_proxy_protocol: params.send_proxy_protocol.unwrap_or_default(),
        };
        let snapshot = server.control.add_backend(call.caller(), new).await?;
        info(server, &snapshot, &id)
    }
}

impl Run for Set {
    async fn run(server: &Dispatch, params: SetParams, call: &Call) -> Answered<Self> {
        let edit = BackendEdit {
            address: params.address,
            weight: params.weight,
            scheme: params.scheme,
            tls: BackendTlsEdit {
                server_name: params.tls_server_name,
                ca_file: params.tls_ca_file,
                client_cert_file: params.tls_client_cert_file,
                client_key_file: params.tls_client_key_file,
                insecure_skip_verify: params.tls_insecure_skip_verify,
            },
            backup: params.backup,
            send_proxy_protocol: params.send_proxy_protocol,
            tags: params.tags,
            state: params.state,
            force: params.force,
        };
        let snapshot = server.control.set_backend(call.caller(), params.id.clone(), edit).await?;
        info(server, &snapshot, &params.id)
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
        info(server, &snapshot, &id)
    }
}

impl Run for RemoveTags {
    async fn run(server: &Dispatch, params: TagParams, call: &Call) -> Answered<Self> {
        let TagParams { id, tags, force } = params;
        let snapshot = server.control.untag_backend(call.caller(), id.clone(), tags, force).await?;
        info(server, &snapshot, &id)
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
        info(server, &server.control.snapshot(), &id)
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
    info(server, &server.control.snapshot(), &id)
}

fn info(server: &Dispatch, snapshot: &Snapshot, id: &BackendId) -> Result<BackendInfo, Failure> {
    let node = server.control.find_backend(snapshot, id)?;
    Ok(backend(snapshot, &node))
}

/// A backend with what is observed of it; in lists without the domains it serves.
fn backend(snapshot: &Snapshot, node: &BackendNode) -> BackendInfo {
    let backend = &node.backend;
    BackendInfo {
        revision: snapshot.revision(),
        id: backend.id.clone(),
        address: backend.address.clone(),
        resolved: node.live.endpoints().texts(),
        tags: backend.tags.clone(),
        weight: backend.weight,
        scheme: backend.scheme.into(),
        tls_server_name: backend.tls.server_name.clone(),
        tls_ca_file: backend.tls.ca_file.clone(),
        tls_client_cert_file: backend.tls.client_cert_file.clone(),
        tls_client_key_file: backend.tls.client_key_file.clone(),
        tls_insecure_skip_verify: backend.tls.insecure_skip_verify,
        state: backend.state.into(),
        backup: backend.backup,
        send_proxy_protocol: backend.send_proxy_protocol.into(),
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
