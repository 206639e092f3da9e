//! `event.watch`: the history as it goes on.

use serde_json::Value;

use super::super::methods::event;
use super::{Call, Dispatch, EVENTS, Failure, MOST_EVENTS, name_in_history, read, write};
use crate::control::Events;

/// Events that are taken from the store at once.
const AT_ONCE: usize = 100;

impl Dispatch {
    /// The store alone says what happened, and is asked again from the last event that was told: so
    /// none is missed and none told twice, and who reads slowly holds up nobody.
    pub(super) async fn watch_events(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let event::ListParams { domain, limit } = read(params)?;
        let domain = domain.map(|name| name_in_history(&self.control.snapshot(), name));
        let limit = limit.unwrap_or(EVENTS).min(MOST_EVENTS);
        let watcher = self.facts.metrics.watchers.enter();
        let mut stopping = self.facts.stopping.clone();
        let mut changes = self.control.history_changes();
        let mut drains = Vec::new();
        let mut last = 0;
        let mut part = self.control.last_events(domain.clone(), limit).await?;
        loop {
            let Events { events, newest } = part;
            let is_all = events.len() < AT_ONCE;
            for event in events {
                last = event.id;
                if event.kind.is_draining() {
                    drains.push(event.id);
                }
                let behind = newest.saturating_sub(event.id);
                let report = event::WatchedEvent { event, ended: false, behind };
                if !call.tell::<event::Watch>(report).await? {
                    return write::<event::Watch>(&event::WatchEnd { last });
                }
            }
            // What is left of a part that is not full concerns other domains.
            last = if is_all { last.max(newest) } else { last };
            self.tell_ended(&mut drains, call).await?;
            if is_all {
                tokio::select! {
                    _ = changes.changed() => {}
                    () = call.progress.gone() => break,
                    _ = stopping.wait_for(|stopping| *stopping) => {
                        // The server waits a little for those who have not heard it yet.
                        let progress = call.progress.clone();
                        tokio::spawn(async move {
                            progress.gone().await;
                            drop(watcher);
                        });
                        break;
                    }
                }
            }
            part = self.control.events_after(last, domain.clone(), AT_ONCE).await?;
        }
        write::<event::Watch>(&event::WatchEnd { last })
    }

    /// Tells again those of `drains` whose drain has ended by now.
    async fn tell_ended(&self, drains: &mut Vec<u64>, call: &Call) -> Result<(), Failure> {
        for id in std::mem::take(drains) {
            match self.control.event(id).await? {
                Some(event) if !event.kind.is_draining() => {
                    let report = event::WatchedEvent { event, ended: true, behind: 0 };
                    call.tell::<event::Watch>(report).await?;
                }
                Some(_) => drains.push(id),
                None => {}
            }
        }
        Ok(())
    }
}
