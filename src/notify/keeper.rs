//! Hands events to the targets, and keeps how far each has come. Only the process that writes the state does this.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::{AbortHandle, JoinSet};

use super::message::{Step, of_event, of_health};
use super::notifier::Notifier;
use super::outstanding::Outstanding;
use super::places::{self, Place, Places};
use super::target::Target;
use crate::control::ControlPlane;
use crate::health::HealthChange;
use crate::model::{Event, NotifyKind};
use crate::state::Reader;

/// Before the history is read again after that has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl Notifier {
    /// Delivers events until this is dropped.
    pub(crate) async fn keep(
        self,
        plane: ControlPlane,
        mut health: broadcast::Receiver<HealthChange>,
        reader: Reader,
    ) {
        let mut changed = self.inner.changed.subscribe();
        let mut keeper = Keeper::begin(self, plane.started_with()).await;
        let (after, open) = keeper.first_place();
        let mut events = plane.watch_events(None, 0, Some(after)).with_open(open);
        let mut has_health = true;
        loop {
            tokio::select! {
                news = events.next() => match news {
                    Ok(news) => news.iter().for_each(|event| keeper.offer(event)),
                    Err(error) => {
                        tracing::warn!(error = error.in_full(), "cannot read the history to notify of it");
                        tokio::time::sleep(RETRY_INTERVAL).await;
                    }
                },
                change = health.recv(), if has_health => match change {
                    Ok(change) => keeper.push(&change, &reader),
                    Err(RecvError::Lagged(missed)) => keeper.count_missed(missed),
                    Err(RecvError::Closed) => has_health = false,
                },
                // The sender is in the notifier that the keeper holds.
                _ = changed.changed() => keeper.follow().await,
                () = keeper.notifier.inner.progressed.notified() => {}
            }
            keeper.save().await;
        }
    }
}

struct Keeper {
    notifier: Notifier,
    /// All events up to this one were handed on.
    position: u64,
    saved: Places,
    has_failed_to_save: bool,
    /// They end with the keeper.
    deliveries: JoinSet<()>,
    running: Vec<(Arc<Target>, AbortHandle)>,
}

impl Keeper {
    async fn begin(notifier: Notifier, newest: u64) -> Self {
        let file = notifier.inner.file.clone();
        let saved = blocking(move || places::load(&file)).await.unwrap_or_else(|error| {
            let path = notifier.inner.file.display();
            tracing::warn!(%path, %error, "cannot read how far targets have come: they begin with what comes now");
            Places::new()
        });
        let mut keeper = Self {
            notifier,
            position: newest,
            saved,
            has_failed_to_save: false,
            deliveries: JoinSet::new(),
            running: Vec::new(),
        };
        keeper.follow().await;
        keeper
    }

    /// Begins with targets that are new, and ends with those that are gone.
    async fn follow(&mut self) {
        let targets = self.notifier.targets();
        let stays = |known: &Arc<Target>| targets.iter().any(|target| Arc::ptr_eq(target, known));
        self.running.retain(|(known, delivery)| {
            let stays = stays(known);
            if !stays {
                delivery.abort();
            }
            stays
        });
        for target in targets {
            if self.running.iter().any(|(known, _)| Arc::ptr_eq(known, &target)) {
                continue;
            }
            let newest = self.position;
            let place = self.saved.get(&target.name).cloned();
            let place = place.unwrap_or(Place { after: newest, open: Vec::new() });
            target.begin(|| Outstanding::from(place, newest));
            let delivery = self.deliveries.spawn(Arc::clone(&target).deliver());
            self.running.push((target, delivery));
        }
        self.save().await;
    }

    /// Where the history is to be read from, and the events of which someone is to get the end.
    fn first_place(&self) -> (u64, Vec<u64>) {
        let places = || self.running.iter().filter_map(|(target, _)| target.place());
        let after = places().map(|place| place.after).min().unwrap_or(self.position);
        let open: BTreeSet<u64> = places().flat_map(|place| place.open).collect();
        // Those behind are read anyway.
        (after, open.into_iter().filter(|number| *number <= after).collect())
    }

    fn offer(&mut self, event: &Event) {
        let step = Step { number: event.id, is_open: event.is_open() };
        let message = of_event(event, self.notifier.inner.server.as_deref()).map(Arc::new);
        for (target, _) in &self.running {
            target.offer(step, message.as_ref());
        }
        self.position = self.position.max(event.id);
    }

    fn push(&self, change: &HealthChange, reader: &Reader) {
        let server = self.notifier.inner.server.as_deref();
        if let Some(message) = of_health(change, &reader.load(), server).map(Arc::new) {
            self.running.iter().for_each(|(target, _)| target.push(&message));
        }
    }

    fn count_missed(&self, missed: u64) {
        tracing::warn!(missed, "too many changes of health at once: nobody is notified of some");
        let want = self.running.iter().filter(|(target, _)| target.wants(NotifyKind::Health));
        want.for_each(|(target, _)| target.count_dropped(missed));
    }

    /// Saves how far each target has come, where that has changed.
    async fn save(&mut self) {
        let place = |target: &Arc<Target>| Some((target.name.clone(), target.place()?));
        let places: Places = self.running.iter().filter_map(|(target, _)| place(target)).collect();
        if places == self.saved {
            return;
        }
        let (file, content) = (self.notifier.inner.file.clone(), places.clone());
        match blocking(move || places::save(&file, content)).await {
            Ok(()) => {
                self.saved = places;
                self.has_failed_to_save = false;
            }
            Err(error) if !self.has_failed_to_save => {
                self.has_failed_to_save = true;
                let path = self.notifier.inner.file.display();
                tracing::warn!(%path, %error, "cannot save how far targets have come: after a restart they get some events again");
            }
            Err(_) => {}
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
