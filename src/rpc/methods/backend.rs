//! Methods on backends.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Changed, Open, method};
use crate::model::record::{Edited, New, Shown};
use crate::model::{
    BackendAddr, BackendId, BackendOptions, BackendState, DomainName, HealthReport, Tag,
};

method!(/// The backends by id, page by page.
    List, "backend.list", ListParams => BackendList);
method!(/// One backend.
    Show, "backend.show", BackendParams => BackendInfo,
    faults [NotFound]);
method!(/// Adds a backend; it is probed at once.
    Add, "backend.add", AddParams => BackendInfo,
    faults [AlreadyExists]);
method!(/// Changes a backend; what is not given stays.
    Set, "backend.set", SetParams => BackendInfo,
    faults [NotFound]);
method!(/// Drains a backend and removes it.
    Remove, "backend.remove", DrainParams => Changed, progress DrainProgress,
    faults [NotFound, Conflict, Timeout]);
method!(/// Adds tags to a backend.
    AddTags, "backend.tag", TagParams => BackendInfo,
    faults [NotFound]);
method!(/// Takes tags away from a backend.
    RemoveTags, "backend.untag", TagParams => BackendInfo,
    faults [NotFound]);
method!(/// Sends a backend no new requests; those it has, it finishes.
    Drain, "backend.drain", DrainParams => BackendInfo, progress DrainProgress,
    faults [NotFound, Timeout]);
method!(/// Sends a backend requests again.
    Ready, "backend.ready", ReadyParams => BackendInfo,
    faults [NotFound, Unhealthy, Timeout]);
method!(/// Sends a backend neither requests nor probes.
    Disable, "backend.disable", DrainParams => BackendInfo, progress DrainProgress,
    faults [NotFound, Timeout]);

/// What `backend.list` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Begin behind this id: the `next` of the page before. It need not exist any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BackendId>,
    /// How many at most; 1000 when not given, and never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
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
    #[serde(flatten)]
    pub options: New<BackendOptions>,
}

/// What `backend.set` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParams {
    /// The backend.
    pub id: BackendId,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<BackendAddr>,
    #[serde(flatten)]
    pub options: Edited<BackendOptions>,
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
    #[serde(default)]
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
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// How far a drain is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrainProgress {
    /// Requests that have not ended.
    pub remaining: usize,
}

/// The answer of `backend.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackendList {
    /// The revision of the state that was listed. Each page is of the state of its time.
    pub revision: u64,
    /// The backends, by id.
    pub backends: Vec<BackendInfo>,
    /// Where the next page begins: its `after`. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<BackendId>,
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
    #[serde(flatten)]
    pub options: Shown<BackendOptions>,
    /// What the operator wants of it.
    pub state: Open<BackendState>,
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
