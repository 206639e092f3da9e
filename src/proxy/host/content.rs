//! What an answer of the proxy's own holds.

use bytes::Bytes;
use http::HeaderValue;

/// The body of an answer, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) kind: HeaderValue,
    pub(crate) bytes: Bytes,
}

impl Content {
    /// Words for people.
    pub(crate) fn text(bytes: Bytes) -> Self {
        Self { kind: HeaderValue::from_static("text/plain; charset=utf-8"), bytes }
    }
}
