//! Waits for a number of requests to reach zero, or a deadline.

use std::time::{Duration, Instant};

/// The interval between two looks at the count: at first, and at most. So nothing on the request path has to
/// announce that it ended.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Waits until `count` is zero. Calls `progress` with each count that differs from the last.
///
/// # Errors
/// With the count at the deadline.
pub(super) async fn until_none(
    count: impl Fn() -> usize,
    deadline: Instant,
    mut progress: impl FnMut(usize),
) -> Result<(), usize> {
    let mut reported = 0;
    let mut pause = FIRST_LOOK;
    loop {
        let remaining = count();
        if remaining == 0 {
            return Ok(());
        }
        if remaining != reported {
            progress(remaining);
            reported = remaining;
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(remaining);
        }
        tokio::time::sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}
