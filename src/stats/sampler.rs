//! The task that looks at the counters, and the handle that answers.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::history::{History, TICK};
use super::report::{Query, Report, report};
use crate::state::Reader;

/// Answers how traffic is. Cloned handles share what is remembered, and the memory lasts as long as
/// one of them.
#[derive(Debug, Clone)]
pub struct Stats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reader: Reader,
    started: Instant,
    /// Requests never see this lock; it is held while the counters are walked, off the threads that
    /// other work runs on.
    history: Mutex<History>,
}

impl Stats {
    /// Begins to remember, with a task on the runtime of the caller.
    pub fn spawn(reader: Reader) -> Self {
        let history = Mutex::new(History::default());
        let inner = Arc::new(Inner { reader, started: Instant::now(), history });
        tokio::spawn(keep(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// The figures of now, of the state that is published. Nothing when the server stops meanwhile.
    pub async fn report(&self, query: Query) -> Option<Report> {
        let inner = Arc::clone(&self.0);
        let report = move || {
            let history = inner.history.lock();
            report(&history, &inner.reader.load(), &query, inner.now())
        };
        // Milliseconds where there are many domains: too long for a thread that others wait for.
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
