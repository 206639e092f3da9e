//! Methods on the history.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::model::{DomainName, Event};
use crate::rpc::dispatch::{Call, Dispatch, Failure};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// The events of the history, the newest first.
    List, "event.list", ListParams => EventList;
    /// Follows the history: sends the last events, then each new one, as progress. A switch that was reported
    /// while it drained is reported again when it has ended. Without `count` it goes on until the server
    /// stops or the connection is closed; while there are no events, a `heartbeat` notification is sent now
    /// and then.
    Watch, "event.watch", WatchParams => Watched, progress Event;
}

/// What `event.list` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    /// Only events of this domain.
    pub domain: Option<DomainName>,
    /// At most this many; 20 when not given.
    pub limit: Option<usize>,
}

/// What `event.watch` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchParams {
    /// Only events of this domain.
    pub domain: Option<DomainName>,
    /// At most this many past events come first; 20 when not given.
    pub limit: Option<usize>,
    /// Start after the event with this number instead, with every event since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Answer after this many events.
    pub count: Option<usize>,
}

/// The answer of `event.watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Watched {
    /// How many events were reported.
    #[serde(alias = "told")]
    pub reported: usize,
}

/// The answer of `event.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EventList {
    /// The revision of the state now.
    pub revision: u64,
    /// The events, the newest first.
    pub events: Vec<Event>,
}

/// Events that `event.list` answers with when no limit is given, and at most.
const EVENTS: usize = 20;
const MAX_EVENTS: usize = 10_000;

/// How long a watcher is sent nothing: a heartbeat then finds out whether it is still there.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

impl Run for List {
    async fn run(server: &Dispatch, params: ListParams, _: &Call) -> Answered<Self> {
        let ListParams { domain, limit } = params;
        let (domain, limit) = wanted(server, domain, limit);
        let revision = server.control.snapshot().revision();
        let events = server.control.events(domain, limit).await?;
        Ok(EventList { revision, events })
    }
}

impl Run for Watch {
    async fn run(server: &Dispatch, params: WatchParams, call: &Call) -> Answered<Self> {
        let WatchParams { domain, limit, after, count } = params;
        let (domain, limit) = wanted(server, domain, limit);
        let mut watch = server.control.watch_events(domain, limit, after);
        let mut reported = 0;
        let mut stopping = server.facts.stopping.clone();
        while count.is_none_or(|count| reported < count) {
            let news = tokio::select! {
                news = timeout(HEARTBEAT_INTERVAL, watch.next()) => news,
                Ok(_) = stopping.wait_for(|stopping| *stopping) => break,
            };
            let Ok(events) = news else {
                if call.progress.beat().await.is_err() {
                    break;
                }
                continue;
            };
            let events = events?;
            let more = count.map_or(events.len(), |count| events.len().min(count - reported));
            for event in &events[..more] {
                let event = serde_json::to_value(event).map_err(Failure::Result)?;
                if call.progress.deliver(event).await.is_err() {
                    return Ok(Watched { reported });
                }
                reported += 1;
            }
        }
        Ok(Watched { reported })
    }
}

/// Whose events, and how many. The history of a domain outlives it, so an unknown name is no
/// error; an alias is its domain.
fn wanted(
    server: &Dispatch,
    domain: Option<DomainName>,
    limit: Option<usize>,
) -> (Option<DomainName>, usize) {
    let snapshot = server.control.snapshot();
    let domain = domain
        .map(|name| snapshot.domain(&name).map_or(name, |node| node.virtual_host.domain.clone()));
    (domain, limit.unwrap_or(EVENTS).min(MAX_EVENTS))
}
