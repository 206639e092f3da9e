//! What requests give and get where that is not just what their method takes and answers.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::clock::whole_millis;
use crate::model::{
    BackendId, DomainName, GuardOptions, SmokeRequests, StatsSort, StatsWindow, SwitchOptions, Tag,
};
use crate::rpc::methods::Listed;
use crate::rpc::methods::backend::DrainParams;
use crate::rpc::methods::domain::{AddParams, DomainInfo};
use crate::rpc::methods::stats::GetParams;
use crate::rpc::methods::switch::{StartParams, UndoParams};

/// The tag that serves a domain, in the words of the config file.
pub(super) const LIVE_TAG: &str = "enabled_backends_tag";

/// A new virtual host.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = without_tag)]
pub(super) struct NewDomain {
    /// Its live tag.
    #[serde(rename(deserialize = "enabled_backends_tag"))]
    tag: Tag,
    #[serde(flatten)]
    #[schemars(with = "AddParams")]
    others: Map<String, Value>,
}

/// A virtual host with what serves it now.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DomainInfo", transform = without_live)]
pub(super) struct Domain {
    /// The tag that serves it.
    #[serde(rename(serialize = "enabled_backends_tag"))]
    live: Tag,
    #[serde(flatten)]
    #[schemars(with = "DomainInfo")]
    others: Map<String, Value>,
}

impl Listed for Domain {
    const MEMBER: &'static str = DomainInfo::MEMBER;
    const PAGE_NAME: &'static str = DomainInfo::PAGE_NAME;
    type Key = DomainName;
}

/// The parameters of a switch. All are optional.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "StartParams")]
pub(super) struct Switch {
    pub(super) domain: DomainName,
    /// The tag to move to. The default is the previous tag, or the other one if there are two.
    pub(super) tag: Option<Tag>,
    /// How long the new tag may take to become healthy. The default is `gate_timeout_secs` of `[switch]`.
    timeout_secs: Option<Seconds>,
    /// How long the old tag's requests may take to end. The default is `drain_timeout_secs` of `[switch]`.
    drain_timeout_secs: Option<Seconds>,
    /// Whether to answer only when those requests have ended, not once switched.
    #[serde(default = "yes")]
    drain: bool,
    /// Go on without the gate.
    #[serde(default)]
    force: bool,
    /// A text for the history.
    reason: Option<String>,
    /// How the new tag is watched afterwards, and judged by its own traffic; what is not given is as its app says.
    guard: Option<GuardOptions>,
    /// Requests that each new backend must answer as expected, before the new tag is live.
    smoke: Option<SmokeRequests>,
    /// The hooks of the config file that are asked after the gate, in this order; up to 4. If one refuses, nothing
    /// changes.
    #[serde(default)]
    before: Vec<String>,
}

/// The parameters of an undo: those of a switch, except the tag, the guard and the hooks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Switch", into = "UndoParams")]
#[schemars(transform = without_tag_and_guard)]
pub(super) struct Undo(Switch);

/// What the removal of a backend takes, as a query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "DrainParams")]
pub(super) struct Remove {
    id: BackendId,
    /// How long its requests may take to end. The default is the config's drain time-out.
    timeout_secs: Option<Seconds>,
    /// Do it even if a live tag loses its last healthy backend, or requests are still running.
    #[serde(default)]
    force: bool,
}

/// What the figures of traffic take, as a query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "GetParams")]
pub(super) struct Stats {
    /// Only this domain, by its name or an alias, and the backends of its tags.
    domain: Option<DomainName>,
    /// Only this backend, and no domain unless one is named too.
    backend: Option<BackendId>,
    /// The time that the figures cover. The default is `60s`.
    #[serde(default)]
    window: Window,
    /// The order of the rows. The default is by rate.
    #[serde(default)]
    sort: StatsSort,
    /// The maximum number of domains, and of backends: 100 by default, at most 1000.
    limit: Option<usize>,
}

/// A time that figures are of, as a query names it.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
enum Window {
    #[serde(rename = "10s")]
    TenSecs,
    #[default]
    #[serde(rename = "60s")]
    Minute,
    #[serde(rename = "start")]
    Start,
}

impl From<Stats> for GetParams {
    fn from(stats: Stats) -> Self {
        let Stats { domain, backend, window, sort, limit } = stats;
        let window_secs = match window {
            Window::TenSecs => StatsWindow::TenSecs,
            Window::Minute => StatsWindow::Minute,
            Window::Start => StatsWindow::Start,
        };
        Self { domain, backend, window_secs, sort, limit }
    }
}

fn yes() -> bool {
    true
}

/// Takes out of a schema the name that the methods have for [`LIVE_TAG`] in what they take.
fn without_tag(schema: &mut Schema) {
    without(schema, "tag");
}

/// Takes out of a schema what an undo doesn't take.
fn without_tag_and_guard(schema: &mut Schema) {
    for name in ["tag", "guard", "before"] {
        without(schema, name);
    }
}

/// Takes out of a schema the name that the methods have for [`LIVE_TAG`] in what they answer.
fn without_live(schema: &mut Schema) {
    without(schema, "live");
}

/// Takes a member out of a schema.
pub(super) fn without(schema: &mut Schema, name: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(name);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|required| required != name);
    }
}

impl Switch {
    pub(super) fn options(self) -> SwitchOptions {
        SwitchOptions {
            timeout_ms: self.timeout_secs.map(Seconds::millis),
            drain_timeout_ms: self.drain_timeout_secs.map(Seconds::millis),
            no_drain: !self.drain,
            force: self.force,
            reason: self.reason,
            guard: self.guard,
            smoke: self.smoke,
            before: self.before,
        }
    }
}

impl From<Switch> for StartParams {
    fn from(switch: Switch) -> Self {
        let (domains, tag) = (vec![switch.domain.clone()], switch.tag.clone());
        Self { domains, tag, options: switch.options() }
    }
}

impl From<Switch> for Undo {
    fn from(switch: Switch) -> Self {
        Self(switch)
    }
}

impl From<Undo> for UndoParams {
    fn from(Undo(switch): Undo) -> Self {
        Self { domain: switch.domain.clone(), options: switch.options() }
    }
}

impl From<Remove> for DrainParams {
    fn from(Remove { id, timeout_secs, force }: Remove) -> Self {
        Self { id, wait: false, timeout_ms: timeout_secs.map(Seconds::millis), force }
    }
}

/// The shortest that a request may ask the server to wait.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// The longest: a week.
const MAX_WAIT: Duration = Duration::from_hours(7 * 24);

/// A time in seconds, whole or with decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds(Duration);

impl Seconds {
    pub(super) fn millis(self) -> u64 {
        whole_millis(self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if (MIN_WAIT..=MAX_WAIT).contains(&duration) => Ok(Self(duration)),
            Ok(_) | Err(_) => Err(serde::de::Error::custom(format!(
                "`{seconds}` is not a time: give seconds from {} to {}",
                MIN_WAIT.as_secs_f64(),
                MAX_WAIT.as_secs()
            ))),
        }
    }
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "minimum": MIN_WAIT.as_secs_f64(),
            "maximum": MAX_WAIT.as_secs(),
            "description": "A time in seconds, whole or with decimals.",
        })
    }
}
