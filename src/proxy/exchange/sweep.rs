//! Closes connections with backends that are kept for too long.

use std::time::{Duration, Instant};

use crate::state::Reader;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// Closes connections with backends that are kept for too long, or that the backend has closed.
pub(crate) async fn sweep(reader: Reader) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let now = Instant::now();
        for node in reader.load().backends() {
            if !node.live.is_admitting() {
                // Somebody may have looked at one while they were closed.
                node.live.kept().close();
            }
            node.live.kept().sweep(now);
        }
    }
}
