//! Methods on the history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method;
use crate::model::{DomainName, Event};

method!(/// What happened, the newest first.
    List, "event.list", ListParams => EventList);
method!(/// Tells the last events, then each as it happens, the oldest first. Ends when the server stops.
    Watch, "event.watch", ListParams => WatchEnd, progress WatchedEvent);

/// What `event.list` and `event.watch` take.
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

/// The answer of `event.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventList {
    /// The revision of the state now.
    pub revision: u64,
    /// The events, the newest first.
    pub events: Vec<Event>,
}

/// An event that is told to who follows the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchedEvent {
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Whether it was told before, when its drain had not ended, and is told again with its outcome.
    #[serde(default)]
    pub ended: bool,
    /// At most so many events have happened since and are still to be told.
    #[serde(default)]
    pub behind: u64,
}

/// The answer of `event.watch`, when the server stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchEnd {
    /// The number of the last event that was told; 0 when none was.
    pub last: u64,
}
