//! One target: what it is still to get, and its deliveries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::backoff::{MAX_AGE, interval};
use super::call::call;
use super::message::{Message, Step};
use super::outstanding::{Item, MAX_WAITING, Outstanding, Queued};
use super::payload::{Again, Refusal};
use super::places::Place;
use crate::clock::{now_ms, whole_millis};
use crate::config::NotifySettings;
use crate::counters::NotifyCounts;
use crate::model::NotifyKind;

/// Someone who is notified of events.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    settings: watch::Sender<Arc<NotifySettings>>,
    pub(super) counts: Arc<NotifyCounts>,
    state: Mutex<State>,
    woken: Notify,
    /// Wakes whoever saves how far it has come.
    progressed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// None before the keeper knows where it goes on.
    outstanding: Option<Outstanding>,
    delivered_ms: Option<u64>,
    failing: Option<Failing>,
}

/// Since when a target has failed, and why at last.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) since_ms: u64,
    pub(super) reason: String,
}

impl Target {
    pub(super) fn new(
        settings: NotifySettings,
        counts: Arc<NotifyCounts>,
        progressed: Arc<Notify>,
    ) -> Self {
        Self {
            name: settings.callee.name.clone(),
            settings: watch::Sender::new(Arc::new(settings)),
            counts,
            state: Mutex::default(),
            woken: Notify::new(),
            progressed,
        }
    }

    /// Goes by other settings from the next try on, which comes at once.
    pub(super) fn set(&self, settings: NotifySettings) {
        self.settings.send_if_modified(|now| {
            let changes = **now != settings;
            *now = Arc::new(settings);
            changes
        });
    }

    pub(super) fn settings(&self) -> Arc<NotifySettings> {
        Arc::clone(&self.settings.borrow())
    }

    pub(super) fn delivered_ms(&self) -> Option<u64> {
        self.state.lock().delivered_ms
    }

    pub(super) fn failing(&self) -> Option<Failing> {
        self.state.lock().failing.clone()
    }

    /// Says where it goes on, where that is not known yet.
    pub(super) fn begin(&self, place: impl FnOnce() -> Outstanding) {
        self.state.lock().outstanding.get_or_insert_with(place);
    }

    /// From where all that it is still to get would be found again.
    pub(super) fn place(&self) -> Option<Place> {
        self.state.lock().outstanding.as_ref().map(Outstanding::place)
    }

    /// Takes note of an event of the history, with its message where it has one.
    pub(super) fn offer(&self, step: Step, message: Option<&Arc<Message>>) {
        let message = message.filter(|message| self.wants(message.kind));
        self.queue(|outstanding| outstanding.offer(step, message));
    }

    /// Takes a message that is not in the history.
    pub(super) fn push(&self, message: &Arc<Message>) {
        if self.wants(message.kind) {
            self.queue(|outstanding| outstanding.push(message));
        }
    }

    pub(super) fn wants(&self, kind: NotifyKind) -> bool {
        self.settings.borrow().events.contains(&kind)
    }

    /// Counts messages that it never gets.
    pub(super) fn count_dropped(&self, dropped: u64) {
        self.counts.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Delivers what there is, in order, and waits for more.
    pub(super) async fn deliver(self: Arc<Self>) {
        loop {
            let item = self.state.lock().outstanding.as_mut().and_then(Outstanding::take);
            let Some(item) = item else {
                self.woken.notified().await;
                continue;
            };
            self.deliver_one(&item).await;
            let mut state = self.state.lock();
            if let Some(outstanding) = &mut state.outstanding {
                outstanding.finish();
                self.count_waiting(outstanding);
            }
            self.progressed.notify_one();
        }
    }

    /// It has got something.
    pub(super) fn note_success(&self) {
        let mut state = self.state.lock();
        state.delivered_ms = Some(now_ms());
        if let Some(failed) = state.failing.take() {
            let failing_ms = now_ms().saturating_sub(failed.since_ms);
            tracing::info!(target_name = %self.name, failing_ms, "events are delivered again");
        }
    }

    async fn deliver_one(&self, item: &Item) {
        let (name, payload) = (&self.name, &item.message.payload);
        let mut settings = self.settings.subscribe();
        for attempt in 1.. {
            if item.since.elapsed() >= MAX_AGE {
                tracing::warn!(target_name = %name, event = payload.event, attempts = attempt - 1, "event is given up: it was tried for a day");
                self.count_dropped(1);
                return;
            }
            let now = Arc::clone(&settings.borrow_and_update());
            let Err(refusal) = call(&now.callee, payload).await else {
                self.counts.delivered.fetch_add(1, Ordering::Relaxed);
                self.note_success();
                return;
            };
            self.note_failure(&refusal);
            let (reason, output) = (refusal.in_full(), refusal.output());
            let Again::After(asked) = refusal.again else {
                tracing::warn!(target_name = %name, event = payload.event, attempt, reason, output, "event was refused");
                self.count_dropped(1);
                return;
            };
            let pause = interval(attempt, fastrand::f64()).max(asked.unwrap_or_default());
            let retry_in_ms = whole_millis(pause);
            if attempt == 1 {
                tracing::warn!(target_name = %name, event = payload.event, attempt, retry_in_ms, reason, output, "event was not delivered");
            } else {
                tracing::debug!(target_name = %name, event = payload.event, attempt, retry_in_ms, reason, output, "event was not delivered");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = settings.changed() => {}
            }
        }
    }

    fn note_failure(&self, refusal: &Refusal) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        let since_ms = state.failing.as_ref().map_or_else(now_ms, |failing| failing.since_ms);
        state.failing = Some(Failing { since_ms, reason: refusal.in_full() });
    }

    fn queue(&self, queue: impl FnOnce(&mut Outstanding) -> Queued) {
        let mut state = self.state.lock();
        let Some(outstanding) = &mut state.outstanding else { return };
        let queued = queue(outstanding);
        self.count_waiting(outstanding);
        drop(state);
        match queued {
            Queued::Known => self.progressed.notify_one(),
            Queued::Waits => self.woken.notify_one(),
            Queued::Dropped { is_first } => {
                self.count_dropped(1);
                self.progressed.notify_one();
                if is_first {
                    tracing::warn!(target_name = %self.name, waiting = MAX_WAITING, "too many events wait: the oldest are dropped");
                }
            }
        }
    }

    fn count_waiting(&self, outstanding: &Outstanding) {
        self.counts.waiting.store(outstanding.len() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;
    use crate::config::{CallBy, Callee};
    use crate::notify::payload::Payload;

    #[tokio::test(start_paused = true)]
    async fn an_event_is_given_up_after_a_day_of_tries_that_become_rarer() {
        let by = CallBy::Exec(vec!["/nowhere/program".to_owned()]);
        let callee = Callee { name: "gone".to_owned(), by, timeout: Duration::from_secs(1) };
        let settings = NotifySettings { callee, events: vec![NotifyKind::Health] };
        let target = Arc::new(Target::new(settings, Arc::default(), Arc::default()));
        target.begin(|| Outstanding::from(Place::default(), 0));
        let payload = Payload { event: "health", body: Bytes::new() };
        let message = Message { kind: NotifyKind::Health, payload, step: None };
        target.push(&Arc::new(message));
        let begun = Instant::now();
        let delivery = tokio::spawn(Arc::clone(&target).deliver());
        while target.counts.dropped.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        delivery.abort();
        let hours = begun.elapsed().as_secs() / 3600;
        assert!((24..26).contains(&hours), "{hours}");
        // A dozen within the first hour, and then one in each.
        let tries = target.counts.failed.load(Ordering::Relaxed);
        assert!((30..45).contains(&tries), "{tries}");
        assert_eq!(target.counts.waiting.load(Ordering::Relaxed), 0);
        assert!(target.failing().unwrap().reason.contains("cannot be run"));
    }
}
