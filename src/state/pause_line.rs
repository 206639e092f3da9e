//! Where the requests of a paused domain wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A line of requests that wait for their domain to be resumed. Closed at first, opened once; then they
/// go on one by one, in the order in which they came.
#[derive(Debug)]
pub struct PauseLine {
    /// None while it is closed, then one: whoever has it goes on, and gives it to the next.
    turns: Arc<Semaphore>,
    open: AtomicBool,
    waiting: AtomicUsize,
}

impl Default for PauseLine {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(0)),
            open: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl PauseLine {
    /// Whether nobody has to wait: it is open, and who was in it has gone on.
    pub fn is_over(&self) -> bool {
        self.open.load(Ordering::Acquire) && self.waiting() == 0
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes the last place, unless there are as many as may be.
    pub fn join(self: &Arc<Self>, most: usize) -> Option<PlaceInLine> {
        let place = PlaceInLine { line: Arc::clone(self), turn: None };
        (self.waiting.fetch_add(1, Ordering::AcqRel) < most).then_some(place)
    }

    /// Lets all go on.
    pub(super) fn open(&self) {
        if !self.open.swap(true, Ordering::AcqRel) {
            self.turns.add_permits(1);
        }
    }
}

/// One request's place; dropping it leaves the line.
#[derive(Debug)]
pub struct PlaceInLine {
    line: Arc<PauseLine>,
    turn: Option<OwnedSemaphorePermit>,
}

impl PlaceInLine {
    /// Waits for its turn, which is over when the place is dropped.
    pub async fn wait(&mut self) {
        // Never closed, so it does not fail.
        self.turn = Arc::clone(&self.line.turns).acquire_owned().await.ok();
    }

    /// Whether it is in this line.
    pub fn is_in(&self, line: &Arc<PauseLine>) -> bool {
        Arc::ptr_eq(&self.line, line)
    }
}

impl Drop for PlaceInLine {
    fn drop(&mut self) {
        self.line.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_came_first_goes_first_and_newcomers_last() {
        let line = Arc::new(PauseLine::default());
        let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..20 {
            let mut place = line.join(20).expect("a place");
            let order = Arc::clone(&order);
            tasks.push(tokio::spawn(async move {
                place.wait().await;
                tokio::task::yield_now().await;
                order.lock().push(n);
            }));
            // Polled once, so that it stands in the line.
            tokio::task::yield_now().await;
        }
        assert!(line.join(20).is_none() && line.waiting() == 20);
        assert!(!line.is_over());
        line.open();
        assert!(!line.is_over(), "those who wait go first");
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
        assert!(line.is_over());
        line.join(1).expect("a place").wait().await;
    }
}
