//! Requests that wait for a backend of a pool to have room, in order, each client in its turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::places::{Line, NoPlace, PlaceInLine, Who};

/// The queue of one pool. Successive pools of a tag share it.
#[derive(Debug)]
pub struct Queue(Arc<Line>);

/// Why a request is not first, and won't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTurn {
    /// Enough are waiting already, or its place went to a client that has fewer.
    Full,
    /// It took too long.
    TimedOut,
}

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::new(Line::new(1)))
    }
}

impl Queue {
    /// How many wait; who comes now must not overtake them.
    pub fn waiting(&self) -> usize {
        self.0.taken()
    }

    /// Waits, behind at most `size` others less one, to be first. Whoever is first stays so until its
    /// place is dropped.
    ///
    /// # Errors
    /// When too many wait, or it is not first by `deadline`.
    pub async fn turn(
        &self,
        who: Who,
        size: usize,
        deadline: Instant,
    ) -> Result<PlaceInLine, NoTurn> {
        let mut place = self.0.join(who, size).map_err(|_| NoTurn::Full)?;
        match timeout_at(deadline, place.turn()).await {
            Ok(Ok(())) => Ok(place),
            Ok(Err(NoPlace::Full | NoPlace::Displaced)) => Err(NoTurn::Full),
            Err(_) => Err(NoTurn::TimedOut),
        }
    }
}

/// How long whoever is first waits for news at most, before it looks again: health, and which backends
/// there are, may have changed without any.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::places::ClientKey;

    #[tokio::test]
    async fn turns_come_in_order_and_the_queue_has_an_end() {
        let queue = Arc::new(Queue::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let deadline = Instant::now() + Duration::from_secs(10);
        let who = Who { client: ClientKey::UNKNOWN, group: 0 };
        let first = queue.turn(who, 3, deadline).await.unwrap();
        let tasks: Vec<_> = (0..2)
            .map(|number| {
                let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
                tokio::spawn(async move {
                    let _turn = queue.turn(who, 3, deadline).await.unwrap();
                    order.lock().push(number);
                })
            })
            .collect();
        while queue.waiting() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.turn(who, 3, deadline).await.err(), Some(NoTurn::Full));
        let soon = Instant::now() + Duration::from_millis(10);
        assert_eq!(queue.turn(who, 4, soon).await.err(), Some(NoTurn::TimedOut));
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [0, 1]);
        assert_eq!(queue.waiting(), 0);
    }
}
