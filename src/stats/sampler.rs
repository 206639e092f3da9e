//! The task that reads the counters, and the handle for reports.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::history::{History, TICK};
use super::report::{Query, Report, report};
use crate::model::RecentTraffic;
use crate::state::{Reader, Snapshot};

/// The handle for reports. Clones share the recorded ticks, which last as long as one of them.
#[derive(Debug, Clone)]
pub(crate) struct Stats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reader: Reader,
    started: Instant,
    /// Not on the request path; locked while the counters are read, on a blocking thread.
    history: Mutex<History>,
}

impl Stats {
    /// Starts to record, with a task on the current runtime.
    pub(crate) fn spawn(reader: Reader) -> Self {
        let history = Mutex::new(History::default());
        let inner = Arc::new(Inner { reader, started: Instant::now(), history });
        tokio::spawn(keep(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// The last minute of `snapshot`, for a successor. Blocks for a moment.
    pub(crate) fn last_minute(&self, snapshot: &Snapshot) -> RecentTraffic {
        self.0.history.lock().recent(snapshot, self.0.now())
    }

    /// Goes on from the last minute of the server before.
    pub(crate) fn resume(&self, snapshot: &Snapshot, recent: &RecentTraffic) {
        self.0.history.lock().resume(snapshot, recent);
    }

    /// The current figures of the published state. `None` if the server stops in between.
    pub(crate) async fn report(&self, query: Query) -> Option<Report> {
        // It takes milliseconds with many domains: too long for an async thread.
        self.reading(move |history, snapshot, now| report(history, snapshot, &query, now)).await
    }
}

impl Stats {
    /// Reads what was recorded, beside the published state.
    pub(super) fn with_history<T>(&self, read: impl FnOnce(&History, &Snapshot) -> T) -> T {
        let history = self.0.history.lock();
        read(&history, &self.0.reader.load())
    }

    /// The same on a thread that may take its time, with the time since the start. `None` if the server stops in
    /// between.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&History, &Snapshot, Duration) -> T + Send + 'static,
    ) -> Option<T> {
        let inner = Arc::clone(&self.0);
        let read = move || {
            let history = inner.history.lock();
            read(&history, &inner.reader.load(), inner.now())
        };
        tokio::task::spawn_blocking(read).await.ok()
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

async fn keep(inner: Weak<Inner>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        let tick = move || {
            let mut history = inner.history.lock();
            history.tick(&inner.reader.load(), inner.now());
        };
        if tokio::task::spawn_blocking(tick).await.is_err() {
            return;
        }
    }
}
