//! What clients of the socket may take.

use std::time::Duration;

use crate::rpc::envelope::limit;

/// How many may come, how much they may ask for, and how long they may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The longest request, in bytes.
    pub(super) request: usize,
    /// The most requests in a batch.
    pub(super) batch: usize,
    /// The longest result, in bytes.
    pub(super) result: usize,
    /// The answers after which the rest of a batch is not carried out, in bytes.
    pub(super) batch_answer: usize,
    /// Connections at once.
    pub(super) connections: usize,
    /// How long a connection may go without a request.
    pub(super) idle: Duration,
    /// How long a client may take to read an answer.
    pub(super) slowest_reader: Duration,
    /// How long a client waits for a place before it is refused.
    pub(super) place_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: limit::REQUEST,
            batch: limit::BATCH,
            result: limit::RESULT,
            batch_answer: limit::BATCH_ANSWER,
            connections: limit::CONNECTIONS,
            idle: Duration::from_mins(10),
            slowest_reader: Duration::from_secs(30),
            place_wait: Duration::from_secs(10),
        }
    }
}
