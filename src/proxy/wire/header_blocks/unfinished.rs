//! How long a client takes to finish a header block.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora::time::sleep;
use tokio::sync::Notify;

/// Since when a connection has a header block that is not whole.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    since: Mutex<Option<Instant>>,
    changed: Notify,
}

impl Unfinished {
    pub(super) fn set(&self, since: Option<Instant>) {
        *self.since.lock() = since;
        self.changed.notify_one();
    }

    /// Ends once a block is unfinished for so long.
    pub(crate) async fn lasts(&self, time: Duration) {
        loop {
            let since = *self.since.lock();
            match since.map(|since| time.saturating_sub(since.elapsed())) {
                None => self.changed.notified().await,
                Some(Duration::ZERO) => return,
                // By then it may be another one.
                Some(left) => sleep(left).await,
            }
        }
    }
}
