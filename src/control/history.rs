//! The history, as it is and as it grows.

use tokio::sync::watch;

use super::{ControlError, ControlPlane};
use crate::model::{Actor, CertificateNews, DomainName, Event, EventKind, Outcome, Since, Tag};
use crate::store::{HistoryReader, ReadLimit, StoreError};

/// What a watcher is given at once; one that is slow gets the rest when it asks again.
const AT_ONCE: ReadLimit = ReadLimit { events: 100, bytes: 256 * 1024 };

/// The bytes of events that one answer has at most.
const MAX_LISTED_BYTES: usize = 16 * 1024 * 1024;

/// Events of a domain that are searched for what made its tag live.
const LOOK_BACK: usize = 200;

impl ControlPlane {
    /// Adds to the history what happened to a certificate. What can't be added is logged.
    pub(crate) async fn note_certificate(
        &self,
        actor: Actor,
        domain: DomainName,
        news: CertificateNews,
    ) {
        let event = EventKind::Certificate { domain, news };
        if let Err(error) = self.record(actor, event).await {
            tracing::error!(error = error.in_full(), "cannot add to the history");
        }
    }

    /// The newest events first.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn events(
        &self,
        domain: Option<DomainName>,
        limit: usize,
    ) -> Result<Vec<Event>, ControlError> {
        let most = ReadLimit { events: limit, bytes: MAX_LISTED_BYTES };
        self.reading(move |store| store.events(domain.as_ref(), most)).await
    }

    /// What made the live tag of `domain` live, as far as the history goes back.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn live_since(
        &self,
        domain: DomainName,
    ) -> Result<Option<Since>, ControlError> {
        let events = self.events(Some(domain.clone()), LOOK_BACK).await?;
        let may_set =
            |event: &Event| event.kind.sets_live_of(&domain) || event.kind.leaves_out(&domain);
        // An older event would be the wrong one where the history has left the right one out.
        let event = events.into_iter().find(may_set);
        let event = event.filter(|event| event.kind.sets_live_of(&domain));
        Ok(event.map(|Event { revision, at_ms, actor, .. }| Since { revision, at_ms, actor }))
    }

    /// Whether a tag has served `domain`, as far as the history goes back.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn has_served(
        &self,
        domain: DomainName,
        tag: Tag,
    ) -> Result<bool, ControlError> {
        let events = self.events(Some(domain.clone()), LOOK_BACK).await?;
        Ok(events.iter().any(|event| match &event.kind {
            EventKind::Switch { steps, outcome, .. } | EventKind::Deploy { steps, outcome, .. } => {
                let failed = matches!(outcome, Outcome::GateFailed { .. });
                steps
                    .iter()
                    .filter(|step| step.domain == domain)
                    .any(|step| step.from == tag || (step.to == tag && !failed))
            }
            EventKind::DomainAdded { live, .. } => *live == tag,
            EventKind::Trial { from, to, .. } => *from == tag || *to == tag,
            _ => false,
        }))
    }

    /// The number of the newest event when this process began.
    pub(crate) fn started_with(&self) -> u64 {
        self.inner.started_with
    }

    /// Follows the history, beginning behind the event `after`, or with the last `limit` events. Where no
    /// event is as new as `after`, it begins behind the newest. Nothing is lost in between: a watcher reads
    /// from the store, and is only woken by what is written.
    pub(crate) fn watch_events(
        &self,
        domain: Option<DomainName>,
        limit: usize,
        after: Option<u64>,
    ) -> EventWatch {
        EventWatch {
            plane: self.clone(),
            domain,
            written: self.inner.written.subscribe(),
            place: after.map_or(Place::Before { limit }, |event| Place::From { event }),
            open: Vec::new(),
        }
    }
}

/// Someone's place in the history.
pub(crate) struct EventWatch {
    plane: ControlPlane,
    domain: Option<DomainName>,
    written: watch::Receiver<u64>,
    pub(super) place: Place,
    /// Switches that were sent before they had ended.
    open: Vec<u64>,
}

pub(super) enum Place {
    /// Nothing was sent yet; the newest `limit` come first.
    Before { limit: usize },
    /// Nothing was sent yet; what follows this event is next, if there is such an event.
    From { event: u64 },
    /// Everything up to this event was sent, or doesn't concern the domain.
    After { event: u64 },
}

impl EventWatch {
    /// Gives these events, which had not ended, once more when they have.
    pub(crate) fn with_open(mut self, open: Vec<u64>) -> Self {
        self.open = open;
        self
    }

    /// What happened next, the oldest first. A switch comes twice when it was sent before it ended:
    /// with its outcome the second time.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn next(&mut self) -> Result<Vec<Event>, ControlError> {
        loop {
            self.written.mark_unchanged();
            let news = self.read().await?;
            if !news.is_empty() {
                return Ok(news);
            }
            // The sender is in the plane that this holds.
            let _ = self.written.changed().await;
        }
    }

    pub(super) async fn read(&mut self) -> Result<Vec<Event>, ControlError> {
        let domain = self.domain.clone();
        let event = match self.place {
            Place::Before { limit } => {
                let begin =
                    move |store: &HistoryReader| store.before_newest(domain.as_ref(), limit);
                self.plane.reading(begin).await?
            }
            // The state may be another one than the number is of: a new one, or an older one from a backup.
            Place::From { event } => self.plane.reading(HistoryReader::newest).await?.min(event),
            Place::After { event } => event,
        };
        let (domain, open) = (self.domain.clone(), self.open.clone());
        let after = move |store: &HistoryReader| {
            let newest = store.newest()?;
            let fresh = store.events_after(event, domain.as_ref(), AT_ONCE)?;
            Ok((newest, ended(store, open)?, fresh))
        };
        let (newest, (ended, open), fresh) = self.plane.reading(after).await?;
        self.open = open;
        let last = fresh.last().map_or(newest, |event| event.id);
        self.place = Place::After { event: last };
        let news: Vec<_> = ended.into_iter().chain(fresh).collect();
        let open = news.iter().filter(|event| event.is_open()).map(|event| event.id);
        self.open.extend(open);
        Ok(news)
    }
}

/// Those of the events that have ended, and the numbers of the others. What is no longer kept is neither.
fn ended(store: &HistoryReader, events: Vec<u64>) -> Result<(Vec<Event>, Vec<u64>), StoreError> {
    let (mut ended, mut open) = (Vec::new(), Vec::new());
    for id in events {
        if ended.len() >= AT_ONCE.events {
            open.push(id);
            continue;
        }
        match store.event(id)? {
            Some(event) if event.is_open() => open.push(id),
            Some(event) => ended.push(event),
            None => {}
        }
    }
    Ok((ended, open))
}
