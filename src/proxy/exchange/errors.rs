//! What goes wrong in an exchange, as Pingora's errors: they say whose it was, and have causes.
#![expect(clippy::unnecessary_box_returns, reason = "as all of Pingora's are")]

use std::fmt::Display;
use std::io;

use pingora::{Error, ErrorType, RetryType};

use crate::proxy::wire::chunks::Broken;

/// Who has been waited for too long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Late {
    ClientSays,
    ClientTakes,
    ClientGone,
    BackendSays,
    BackendTakes,
}

pub(super) fn late(who: Late) -> Box<Error> {
    let (kind, words) = match who {
        Late::ClientSays => (ErrorType::ReadTimedout, "reading body"),
        Late::ClientTakes => (ErrorType::WriteTimedout, "writing an answer"),
        Late::ClientGone => (ErrorType::ConnectionClosed, "waiting for its answer"),
        Late::BackendSays => (ErrorType::ReadTimedout, "waiting for an answer"),
        Late::BackendTakes => (ErrorType::WriteTimedout, "sending the request"),
    };
    let error = Error::explain(kind, words);
    match who {
        Late::BackendSays | Late::BackendTakes => error.into_up(),
        Late::ClientSays | Late::ClientTakes | Late::ClientGone => error.into_down(),
    }
}

/// A client has ended its connection within its request's body.
pub(super) fn closed_within_body() -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, "within its body").into_down()
}

/// A client's body is none.
pub(super) fn broken_body(broken: Broken) -> Box<Error> {
    let cause = io::Error::new(io::ErrorKind::InvalidData, broken);
    Error::because(ErrorType::ReadError, "reading body", cause).into_down()
}

/// A client's body can't be read.
pub(super) fn unread_body<E>(cause: E) -> Box<Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Error::because(ErrorType::ReadError, "reading body", cause).into_down()
}

/// A client takes no more of its answer.
pub(super) fn unwritten_answer<E>(cause: E) -> Box<Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Error::because(ErrorType::WriteError, "writing an answer", cause).into_down()
}

/// A client has reset the stream of its request.
pub(super) fn reset_by_client() -> Box<Error> {
    Error::explain(ErrorType::WriteError, "the client has reset the stream").into_down()
}

/// The head of an answer is none.
pub(super) fn malformed_answer(why: &dyn Display) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, why.to_string()).into_up()
}

/// An answer is shorter than its head says.
pub(super) fn short_answer() -> Box<Error> {
    let words = "the answer is shorter than it says";
    Error::explain(ErrorType::ConnectionClosed, words).into_up()
}

/// A backend has ended its connection within its answer.
pub(super) fn cut_short() -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, "within its answer").into_up()
}

/// A backend's connection has failed within its answer.
pub(super) fn unread_answer(cause: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "within its answer", cause).into_up()
}

/// A backend takes no more of a request.
pub(super) fn unsent_request(cause: io::Error) -> Box<Error> {
    Error::because(ErrorType::WriteError, "sending the request", cause).into_up()
}

/// There is no answer: the request could not be sent, or the connection has ended. One that was kept may
/// have ended before the backend has seen the request, so unless an answer `has_begun` it may be tried
/// again.
pub(super) fn no_answer(
    sending: Option<Box<Error>>,
    read: Option<io::Error>,
    has_begun: bool,
) -> Box<Error> {
    let words = "waiting for an answer";
    let mut error = match (sending, read) {
        (Some(error), _) => error,
        (None, Some(error)) => Error::because(ErrorType::ReadError, words, error),
        (None, None) => Error::explain(ErrorType::ConnectionClosed, words),
    };
    if !has_begun {
        error.retry = RetryType::ReusedOnly;
    }
    error.into_up()
}
