//! What an answer of the proxy's own holds.

use bytes::Bytes;
use http::HeaderValue;

/// The body of an answer, and what it is.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) kind: HeaderValue,
    pub(super) bytes: Bytes,
}

impl Content {
    /// Words for people.
    pub(super) fn text(bytes: Bytes) -> Self {
        Self { kind: HeaderValue::from_static("text/plain; charset=utf-8"), bytes }
    }
}
