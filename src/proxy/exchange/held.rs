//! What a request holds of the memory of its connection's budget.

use std::sync::Arc;

use crate::proxy::memory::Budget;

/// What a request holds: of its body, and of its answer.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    request: usize,
    answer: usize,
}

impl Held {
    pub(super) fn begin(budget: &Arc<Budget>) -> Self {
        budget.begin_stream();
        Self { budget: Arc::clone(budget), request: 0, answer: 0 }
    }

    /// How large the next read may be.
    pub(super) fn piece(&self) -> usize {
        self.budget.piece()
    }

    /// So many bytes of the request have not gone to the backend.
    pub(super) fn of_request(&mut self, bytes: usize) {
        if bytes > self.request {
            self.budget.add_upload(bytes - self.request);
        } else if bytes < self.request {
            self.budget.remove_upload(self.request - bytes);
        }
        self.request = bytes;
    }

    /// So many bytes of the answer have not gone to the client.
    pub(super) fn of_answer(&mut self, bytes: usize) {
        if bytes > self.answer {
            self.budget.add(bytes - self.answer);
        } else if bytes < self.answer {
            self.budget.remove(self.answer - bytes);
        }
        self.answer = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of_request(0);
        self.of_answer(0);
        self.budget.end_stream();
    }
}
