//! Waits for a number of requests to reach zero, or a deadline.

use std::time::{Duration, Instant};

/// Between two looks at the count at first, and at most. Nothing on the request path has to tell
/// anyone that it ended.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Waits until `count` is zero. Tells `progress` each count that differs from the one before.
///
/// # Errors
/// With the count at the deadline.
pub(super) async fn until_none(
    count: impl Fn() -> usize,
    deadline: Instant,
    mut progress: impl FnMut(usize),
) -> Result<(), usize> {
    let mut told = 0;
    let mut pause = FIRST_LOOK;
    loop {
        let remaining = count();
        if remaining == 0 {
            return Ok(());
        }
        if remaining != told {
            progress(remaining);
            told = remaining;
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(remaining);
        }
        tokio::time::sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}
