//! Methods on virtual hosts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Changed, method};
use crate::model::record::{Edited, New, Shown};
use crate::model::{DomainName, HostOptions, Tag, TopOptions};

method!(/// The virtual hosts by name, page by page.
    List, "domain.list", ListParams => DomainList);
method!(/// One virtual host, by its name or an alias.
    Show, "domain.show", DomainParams => DomainInfo,
    faults [NotFound]);
method!(/// Adds a virtual host.
    Add, "domain.add", AddParams => DomainInfo,
    faults [NotFound, AlreadyExists]);
method!(/// Changes a virtual host's options; those that are not given stay.
    Set, "domain.set", SetParams => DomainInfo,
    faults [NotFound, AlreadyExists]);
method!(/// Removes a virtual host with its aliases.
    Remove, "domain.remove", DomainParams => Changed,
    faults [NotFound]);
method!(/// Waits until the live tag is healthy, or until tags that were left have drained.
    Wait, "domain.wait", WaitParams => DomainInfo, progress WaitProgress,
    faults [NotFound, Unhealthy, Timeout]);

/// What `domain.list` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Begin behind this name: the `next` of the page before. It need not exist any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DomainName>,
    /// How many at most; 1000 when not given, and never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Names one virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainParams {
    /// Its name or an alias of it.
    pub domain: DomainName,
}

/// What `domain.add` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddParams {
    /// The new name.
    pub domain: DomainName,
    /// The tag that is live at once.
    pub tag: Tag,
    #[serde(flatten)]
    pub top: New<TopOptions>,
    /// What it does besides, by the keys of the config file.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "HostOptions")]
    pub options: Map<String, Value>,
    /// Add it although no backend carries the tag yet.
    #[serde(default)]
    pub force: bool,
}

/// What `domain.set` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParams {
    /// The virtual host.
    pub domain: DomainName,
    #[serde(flatten)]
    pub top: Edited<TopOptions>,
    /// What of its other options changes: a JSON merge patch (RFC 7396) of them, so null takes one
    /// away.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "Option<HostOptions>")]
    pub options: Map<String, Value>,
}

/// What `domain.wait` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// The virtual host.
    pub domain: DomainName,
    /// What to wait for.
    pub until: WaitFor,
    /// How long; the gate's or the drain's own time-out when not given.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// What `domain.wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitFor {
    /// Every ready backend of the live tag is healthy.
    Healthy,
    /// No request runs on a tag that is neither live nor that of a path.
    Drained,
}

/// How far `domain.wait` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitProgress {
    /// Backends not yet healthy, or requests not yet ended.
    pub remaining: usize,
}

/// The answer of `domain.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainList {
    /// The revision of the state that was listed. Each page is of the state of its time.
    pub revision: u64,
    /// The virtual hosts, by name.
    pub domains: Vec<DomainInfo>,
    /// Where the next page begins: its `after`. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<DomainName>,
}

/// A virtual host with what serves it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainInfo {
    /// The revision of the state that was read.
    pub revision: u64,
    /// Its name.
    pub domain: DomainName,
    /// The tag that serves it.
    pub live: Tag,
    /// The tag before the last switch.
    pub previous: Option<Tag>,
    #[serde(flatten)]
    pub top: Shown<TopOptions>,
    /// What it does besides. Hashes of passwords are not shown.
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
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// How many backends of a pool can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolInfo {
    /// All that carry the tag.
    pub total: usize,
    /// Those that the operator wants to take traffic.
    pub ready: usize,
    /// Those of them that are healthy.
    pub healthy: usize,
}

/// Requests in flight on one tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagInFlight {
    /// The tag.
    pub tag: Tag,
    /// How many requests of this domain run there.
    pub requests: usize,
}
