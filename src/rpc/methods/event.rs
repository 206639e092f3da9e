//! Methods on the history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method;
use crate::model::{DomainName, Event};

method!(/// What happened, the newest first.
    List, "event.list", ListParams => EventList);

method!(/// Follows the history: the last events, then each as it happens, as progress. A switch that was
    /// told while it drained is told again when it has ended. Without `count` it goes on until the
    /// server stops or the connection is closed; while nothing happens, a `heartbeat` notification comes now and then.
    Watch, "event.watch", WatchParams => Watched, progress Event);

/// What `event.list` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Only what concerns this domain.
    #[serde(default)]
    pub domain: Option<DomainName>,
    /// At most so many; 20 when not given.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// What `event.watch` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchParams {
    /// Only what concerns this domain.
    #[serde(default)]
    pub domain: Option<DomainName>,
    /// Begin with at most so many that have happened; 20 when not given.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Begin behind the event of this number instead, and leave out none that came after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Answer after so many.
    #[serde(default)]
    pub count: Option<usize>,
}

/// The answer of `event.watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Watched {
    /// How many were told.
    pub told: usize,
}

/// The answer of `event.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventList {
    /// The revision of the state now.
    pub revision: u64,
    /// The events, the newest first.
    pub events: Vec<Event>,
}
