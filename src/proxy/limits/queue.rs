//! Requests that wait because every backend of their pool has as many as it may.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::futures::Notified;
use tokio::time::{Instant, timeout_at};

use crate::model::Reason;
use crate::places::Who;
use crate::proxy::balance::Choice;
use crate::proxy::options::UpstreamOptions;
use crate::state::{LOOK_AGAIN, NoTurn, Pool};

/// Waits in order, as `who`, for `choose` to have an outcome other than that all are busy.
///
/// # Errors
/// When too many wait, or it takes too long.
pub(crate) async fn wait_for_room(
    pool: &Arc<Pool>,
    options: &UpstreamOptions,
    who: Who,
    mut choose: impl FnMut() -> Choice,
) -> Result<Choice, Reason> {
    let deadline = Instant::now() + options.queue_timeout;
    let turn = pool.queue().turn(who, options.queue_size, deadline).await;
    let _turn = turn.map_err(|no_turn| match no_turn {
        NoTurn::Full => Reason::QueueFull,
        NoTurn::TimedOut => Reason::QueueTimeout,
    })?;
    loop {
        // Listens before it looks: what ends in between is heard.
        let mut freed: Vec<Pin<Box<Notified<'_>>>> =
            pool.ready().map(|node| Box::pin(node.live.freed().notified())).collect();
        for one in &mut freed {
            one.as_mut().enable();
        }
        let choice = choose();
        if !matches!(choice, Choice::Busy) {
            return Ok(choice);
        }
        if Instant::now() >= deadline {
            return Err(Reason::QueueTimeout);
        }
        let any = poll_fn(|cx| {
            let is_freed = freed.iter_mut().any(|one| one.as_mut().poll(cx).is_ready());
            if is_freed { Poll::Ready(()) } else { Poll::Pending }
        });
        // Health, and which backends there are, may change without a word.
        let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), any).await;
    }
}
