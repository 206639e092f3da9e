//! Where the requests of a paused domain wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::places::{Line, NoPlace, PlaceInLine, Who};

/// A line of requests that wait for their domain to be resumed. Closed at first, opened once; then they
/// go on one by one, clients in turn, those of one in the order in which they came.
#[derive(Debug)]
pub struct PauseLine {
    /// Nobody has a turn while it is closed, then one at a time.
    line: Arc<Line>,
    open: AtomicBool,
}

impl Default for PauseLine {
    fn default() -> Self {
        Self { line: Arc::new(Line::new(0)), open: AtomicBool::new(false) }
    }
}

impl PauseLine {
    /// Whether nobody has to wait: it is open, and who was in it has gone on.
    pub fn is_over(&self) -> bool {
        self.open.load(Ordering::Acquire) && self.waiting() == 0
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.line.taken()
    }

    /// Takes a place, of which there are `most`.
    ///
    /// # Errors
    /// When there is none left, and no client has more than its share.
    pub fn join(&self, who: Who, most: usize) -> Result<PlaceInLine, NoPlace> {
        self.line.join(who, most)
    }

    /// Whether a place is in this line.
    pub fn has(&self, place: &PlaceInLine) -> bool {
        place.is_in(&self.line)
    }

    /// Lets all go on.
    pub(super) fn open(&self) {
        if !self.open.swap(true, Ordering::AcqRel) {
            self.line.add_turn();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::ClientKey;

    #[tokio::test]
    async fn who_came_first_goes_first_and_newcomers_last() {
        let who = Who { client: ClientKey::UNKNOWN, group: 0 };
        let line = Arc::new(PauseLine::default());
        let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..20 {
            let mut place = line.join(who, 20).expect("a place");
            let order = Arc::clone(&order);
            tasks.push(tokio::spawn(async move {
                place.turn().await.expect("its turn comes");
                tokio::task::yield_now().await;
                order.lock().push(n);
            }));
        }
        assert!(line.join(who, 20).is_err() && line.waiting() == 20);
        assert!(!line.is_over());
        line.open();
        assert!(!line.is_over(), "those who wait go first");
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
        assert!(line.is_over());
        line.join(who, 1).expect("a place").turn().await.expect("nobody is before it");
    }
}
