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
    pub(crate) fn recent(&self, snapshot: &Snapshot) -> RecentTraffic {
        self.0.history.lock().recent(snapshot, self.0.now())
    }

    /// Goes on from the last minute of the server before.
    pub(crate) fn resume(&self, snapshot: &Snapshot, recent: &RecentTraffic) {
        self.0.history.lock().resume(snapshot, recent);
    }

    /// The current figures of the published state. `None` if the server stops in between.
    pub(crate) async fn report(&self, query: Query) -> Option<Report> {
        let inner = Arc::clone(&self.0);
        let report = move || {
            let history = inner.history.lock();
            report(&history, &inner.reader.load(), &query, inner.now())
        };
        // It takes milliseconds with many domains: too long for an async thread.
        tokio::task::spawn_blocking(report).await.ok()
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
