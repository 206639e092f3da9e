//! The one timer of a connection.

use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// The one timer of a connection. Deadlines move with every byte; the timer is set anew only where it
/// would ring too late, and looks at the deadline again where it rings too early.
#[derive(Debug, Default)]
pub(crate) struct Clock(Option<Pin<Box<Sleep>>>);

impl Clock {
    /// Whether `deadline` has passed; else `cx` is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if sleep.deadline() > deadline.into() {
            sleep.as_mut().reset(deadline.into());
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return true;
            }
            sleep.as_mut().reset(deadline.into());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_rings_at_the_deadline_of_now() {
        let (mut clock, start) = (Clock::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let looked = poll_fn(|cx| {
            let far = clock.poll(cx, at(60_000));
            Poll::Ready(far || clock.poll(cx, at(5)) || clock.poll(cx, at(40)))
        });
        assert!(!looked.await);
        poll_fn(|cx| if clock.poll(cx, at(40)) { Poll::Ready(()) } else { Poll::Pending }).await;
        assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());
    }
}
