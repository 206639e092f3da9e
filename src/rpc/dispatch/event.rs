//! The methods on the history.

use std::time::Duration;

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, write};
use crate::model::DomainName;
use crate::rpc::methods::event;

/// Events that `event.list` answers with when it is not told how many, and at most.
const EVENTS: usize = 20;
const MOST_EVENTS: usize = 10_000;

/// How long a watcher hears nothing: what is sent then tells whether it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl Dispatch {
    pub(super) async fn list_events(&self, params: Value) -> Result<Value, Failure> {
        let event::ListParams { domain, limit } = read(params)?;
        let (domain, limit) = self.events_of(domain, limit);
        let revision = self.control.snapshot().revision();
        let events = self.control.events(domain, limit).await?;
        write::<event::List>(&event::EventList { revision, events })
    }

    pub(super) async fn watch_events(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let event::WatchParams { domain, limit, after, count } = read(params)?;
        let (domain, limit) = self.events_of(domain, limit);
        let mut watch = self.control.watch_events(domain, limit, after);
        let mut told = 0;
        let mut stopping = self.facts.stopping.clone();
        'watching: loop {
            let news = tokio::select! {
                news = tokio::time::timeout(HEARTBEAT, watch.next()) => news,
                Ok(_) = stopping.wait_for(|stopping| *stopping) => break,
            };
            let Ok(events) = news else {
                if call.progress.beat().await.is_err() {
                    break;
                }
                continue;
            };
            for event in events? {
                if count.is_some_and(|count| told >= count) {
                    break 'watching;
                }
                let event = serde_json::to_value(&event).map_err(Failure::Result)?;
                if call.progress.deliver(event).await.is_err() {
                    break 'watching;
                }
                told += 1;
            }
            if count.is_some_and(|count| told >= count) {
                break;
            }
        }
        write::<event::Watch>(&event::Watched { told })
    }

    /// Whose events, and how many. The history of a domain outlives it, so an unknown name is no
    /// error; an alias is its domain.
    fn events_of(
        &self,
        domain: Option<DomainName>,
        limit: Option<usize>,
    ) -> (Option<DomainName>, usize) {
        let snapshot = self.control.snapshot();
        let domain = domain.map(|name| {
            snapshot.domain(&name).map_or(name, |node| node.virtual_host.domain.clone())
        });
        (domain, limit.unwrap_or(EVENTS).min(MOST_EVENTS))
    }
}
