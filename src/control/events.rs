//! The history, as it is and as it goes on.

use tokio::sync::watch;

use super::{ControlError, ControlPlane};
use crate::model::{DomainName, Event, Since};

/// Events of a domain that are searched for what made its tag live.
const LOOK_BACK: usize = 200;

/// A part of the history, the oldest first.
#[derive(Debug)]
pub struct Events {
    /// The events.
    pub events: Vec<Event>,
    /// The number of the newest event that there was at this look.
    pub newest: u64,
}

impl ControlPlane {
    /// The newest events first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events(
        &self,
        domain: Option<DomainName>,
        limit: usize,
    ) -> Result<Vec<Event>, ControlError> {
        self.with_writer(move |writer, _| Ok(writer.store.events(domain.as_ref(), limit)?)).await
    }

    /// The last `limit` events, and where to go on from.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_events(
        &self,
        domain: Option<DomainName>,
        limit: usize,
    ) -> Result<Events, ControlError> {
        self.with_writer(move |writer, _| {
            let mut events = writer.store.events(domain.as_ref(), limit)?;
            events.reverse();
            Ok(Events { events, newest: writer.store.newest_event()? })
        })
        .await
    }

    /// The next `limit` events after the one of that number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events_after(
        &self,
        after: u64,
        domain: Option<DomainName>,
        limit: usize,
    ) -> Result<Events, ControlError> {
        self.with_writer(move |writer, _| {
            let events = writer.store.events_after(after, domain.as_ref(), limit)?;
            Ok(Events { events, newest: writer.store.newest_event()? })
        })
        .await
    }

    /// The event of that number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn event(&self, id: u64) -> Result<Option<Event>, ControlError> {
        self.with_writer(move |writer, _| Ok(writer.store.event(id)?)).await
    }

    /// Changes whenever the history does.
    pub fn history_changes(&self) -> watch::Receiver<()> {
        self.inner.noted.subscribe()
    }

    /// What made the live tag of `domain` live, as far as the history goes back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn live_since(&self, domain: DomainName) -> Result<Option<Since>, ControlError> {
        let events = self.events(Some(domain.clone()), LOOK_BACK).await?;
        let event = events.into_iter().find(|event| event.kind.sets_live_of(&domain));
        Ok(event.map(|Event { revision, at_ms, actor, .. }| Since { revision, at_ms, actor }))
    }
}
