//! Methods on the history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method;
use crate::model::{DomainName, Event};

method!(/// What happened, the newest first.
    List, "event.list", ListParams => EventList);

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

method!(/// Follows the history: the last events, then each as it happens, as progress. A switch that was
    /// told while it drained is told again when it has ended. It answers only when the server can't
    /// go on; close the connection to end it. A `heartbeat` notification comes when nothing happens.
    Watch, "event.watch", ListParams => EventList, progress Event);

/// The answer of `event.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventList {
    /// The revision of the state now.
    pub revision: u64,
    /// The events, the newest first.
    pub events: Vec<Event>,
}
