//! Requests that wait for a backend of a pool to have room, in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// The queue of one pool. Successive pools of a tag share it.
#[derive(Debug)]
pub struct Queue {
    waiting: AtomicUsize,
    /// One permit, handed on in the order in which it was asked for: whoever has it is first.
    first: Semaphore,
}

/// Why a request is not first, and won't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTurn {
    /// Enough are waiting already.
    Full,
    /// It took too long.
    TimedOut,
}

/// The place of whoever is first; leaving it makes room for the next.
#[derive(Debug)]
pub struct Turn<'a> {
    _first: SemaphorePermit<'a>,
    _place: Place<'a>,
}

/// Counts one that waits.
#[derive(Debug)]
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { waiting: AtomicUsize::new(0), first: Semaphore::new(1) }
    }
}

impl Queue {
    /// How many wait; who comes now must not overtake them.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits, behind at most `size` others less one, to be first.
    ///
    /// # Errors
    /// When too many wait, or it is not first by `deadline`.
    pub async fn turn(&self, size: usize, deadline: Instant) -> Result<Turn<'_>, NoTurn> {
        let one_more = |waiting| (waiting < size).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| NoTurn::Full)?;
        let place = Place(&self.waiting);
        // It is never closed, so there is no other error.
        let Ok(Ok(first)) = timeout_at(deadline, self.first.acquire()).await else {
            return Err(NoTurn::TimedOut);
        };
        Ok(Turn { _first: first, _place: place })
    }
}

/// How long whoever is first waits for news at most, before it looks again: health, and which backends
/// there are, may have changed without any.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn turns_come_in_order_and_the_queue_has_an_end() {
        let queue = Arc::new(Queue::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let deadline = Instant::now() + Duration::from_secs(10);
        let first = queue.turn(3, deadline).await.unwrap();
        let tasks: Vec<_> = (0..2)
            .map(|number| {
                let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
                tokio::spawn(async move {
                    let _turn = queue.turn(3, deadline).await.unwrap();
                    order.lock().push(number);
                })
            })
            .collect();
        while queue.waiting() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.turn(3, deadline).await.err(), Some(NoTurn::Full));
        let soon = Instant::now() + Duration::from_millis(10);
        assert_eq!(queue.turn(4, soon).await.err(), Some(NoTurn::TimedOut));
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [0, 1]);
        assert_eq!(queue.waiting(), 0);
    }
}
