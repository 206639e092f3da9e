//! What requests take where that is not just what their method takes.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::clock::whole_millis;
use crate::model::{BackendId, DomainName, StatsSort, StatsWindow, SwitchOptions, Tag};
use crate::rpc::methods::stats::GetParams;

/// What a switch takes. Nothing is needed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    /// The tag to move to; the other one when not given.
    #[serde(default)]
    pub(super) tag: Option<Tag>,
    /// How long the new tag may take to be healthy; the config's time-out when not given.
    #[serde(default)]
    timeout_secs: Option<Seconds>,
    /// How long the old tag's requests may take to end; the config's time-out when not given.
    #[serde(default)]
    drain_timeout_secs: Option<Seconds>,
    /// Answer when the old tag's requests have ended; without, once switched.
    #[serde(default = "yes")]
    drain: bool,
    /// Skip the gate.
    #[serde(default)]
    force: bool,
    /// The operator's words, kept in the history.
    #[serde(default)]
    reason: Option<String>,
}

/// What an undo takes. Nothing is needed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Undo {
    /// How long the tag before may take to be healthy; the config's time-out when not given.
    #[serde(default)]
    timeout_secs: Option<Seconds>,
    /// How long the requests of the tag that is left may take to end; the config's time-out when not
    /// given.
    #[serde(default)]
    drain_timeout_secs: Option<Seconds>,
    /// Answer when those requests have ended; without, once switched.
    #[serde(default = "yes")]
    drain: bool,
    /// Skip the gate.
    #[serde(default)]
    force: bool,
    /// The operator's words, kept in the history.
    #[serde(default)]
    reason: Option<String>,
}

/// What the removal of a backend takes, as a query.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Remove {
    /// How long its requests may take to end; the config's drain time-out when not given.
    #[serde(default)]
    timeout_secs: Option<Seconds>,
    /// Do it although a live tag loses its last healthy backend, or requests still run.
    #[serde(default)]
    force: bool,
}

/// What the figures of traffic take, as a query.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stats {
    /// Only this domain, by its name or an alias, and the backends of its tags.
    #[serde(default)]
    domain: Option<DomainName>,
    /// Only this backend, and no domain unless one is named too.
    #[serde(default)]
    backend: Option<BackendId>,
    /// The time that the figures are of; `60s` when not given.
    #[serde(default)]
    window: Window,
    /// What comes first; the rate when not given.
    #[serde(default)]
    sort: StatsSort,
    /// How many domains at most, and how many backends; 100 when not given, and never more than 1000.
    #[serde(default)]
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

impl Switch {
    pub(super) fn options(self) -> SwitchOptions {
        let Self { tag: _, timeout_secs, drain_timeout_secs, drain, force, reason } = self;
        Undo { timeout_secs, drain_timeout_secs, drain, force, reason }.options()
    }
}

impl Undo {
    pub(super) fn options(self) -> SwitchOptions {
        SwitchOptions {
            timeout_ms: self.timeout_secs.map(Seconds::millis),
            drain_timeout_ms: self.drain_timeout_secs.map(Seconds::millis),
            no_drain: !self.drain,
            force: self.force,
            reason: self.reason,
        }
    }
}

impl Remove {
    /// As members of the method's parameters.
    pub(super) fn members(&self) -> Value {
        json!({ "timeout_ms": self.timeout_secs.map(Seconds::millis), "force": self.force })
    }
}

/// The longest that a request may ask the server to wait: a week.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A time in seconds, whole or with decimals.
#[derive(Debug, Clone, Copy)]
struct Seconds(Duration);

impl Seconds {
    fn millis(self) -> u64 {
        whole_millis(self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if duration <= LONGEST => Ok(Self(duration)),
            Ok(_) | Err(_) => Err(serde::de::Error::custom(format!(
                "`{seconds}` is not a time: give seconds from 0 to {}",
                LONGEST.as_secs()
            ))),
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "minimum": 0,
            "maximum": LONGEST.as_secs(),
            "description": "A time in seconds, whole or with decimals.",
        })
    }
}
