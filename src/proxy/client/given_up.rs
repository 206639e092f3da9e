//! Connections that Pingora lets go behind a whole answer.
//!
//! When a backend answers before it has the whole request, Pingora forwards the answer and drops the
//! client's connection, though the answer may have promised to keep it: the client's next request is
//! lost. Where the client still sends, the kernel resets the connection, and with it what the client
//! has not read of the answer. So what is dropped is taken back here.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use pingora::protocols::Stream;

use crate::proxy::wire::chunks::Chunks;
use crate::proxy::wire::gather::Gather;

/// What is left of a connection that was dropped between two requests, or within one.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(super) stream: Stream,
    pub(super) unread: BytesMut,
    pub(super) left: Left,
    pub(super) gather: Gather,
    pub(crate) ending: Ending,
}

/// What is due to a connection that was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its answer was whole, and has promised to keep it.
    Keep,
    /// Its answer was whole, and the client still sends.
    Linger,
    /// Its answer was broken off, and the beginning has yet to leave: a client that got not a byte may
    /// send its request again (RFC 9112 §9.3.1).
    Flush,
}

/// What is left to be read of a request.
#[derive(Debug)]
pub(super) enum Left {
    Length(u64),
    Chunks(Chunks),
}

/// What of a connection was dropped. One for each connection; its requests come one after the other.
#[derive(Debug, Default)]
pub(crate) struct GivenUp {
    answer: AtomicU8,
    /// Locked only where something was dropped.
    parts: Mutex<Option<Parts>>,
}

const NOT_WHOLE: u8 = 0;
const CLOSES: u8 = 1;
const KEEPS: u8 = 2;

impl GivenUp {
    /// A request has ended: whether its answer keeps the connection, where that was sent to its end.
    pub(crate) fn answered(&self, keeps: Option<bool>) {
        let answer = match keeps {
            None => NOT_WHOLE,
            Some(false) => CLOSES,
            Some(true) => KEEPS,
        };
        self.answer.store(answer, Ordering::Relaxed);
    }

    /// What was last said of an answer, once.
    pub(crate) fn take_answer(&self) -> Option<bool> {
        match self.answer.swap(NOT_WHOLE, Ordering::Relaxed) {
            CLOSES => Some(false),
            KEEPS => Some(true),
            _ => None,
        }
    }

    pub(crate) fn put(&self, parts: Parts) {
        *self.parts.lock().unwrap_or_else(PoisonError::into_inner) = Some(parts);
    }

    /// What was dropped, once.
    pub(crate) fn take(&self) -> Option<Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
