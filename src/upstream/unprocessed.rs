//! Requests that a backend has provably not processed, so that any of them may be sent again (RFC 9113
//! §8.7).

use pingora::Error;

/// Whether the backend has said, over HTTP/2, that it has not processed the failed request: with
/// `REFUSED_STREAM`, or with a GOAWAY whose last stream is before it.
///
/// The h2 crate ends a stream with the peer's GOAWAY only if its number is above the last one, and
/// returns the same error if it has not sent the request at all (`proto/streams/streams.rs`).
/// Streams below end with their own result, or the connection's.
pub(crate) fn is_unprocessed(error: &Error) -> bool {
    let Some(error) = error.root_cause().downcast_ref::<h2::Error>() else { return false };
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (error.is_go_away() || is_refused)
}
