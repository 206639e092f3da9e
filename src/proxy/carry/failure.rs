//! Answers of failures: the status of a reason, with the page or the words of the host that it is for.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::answer::send;
use super::grpc::send_grpc;
use crate::heads::ResponseHead;
use crate::heads::names::{ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use crate::model::Reason;
use crate::proxy::client::downstream::Downstream;
use crate::proxy::host::content::Content;
use crate::proxy::host::{Host, auth, maintenance};
use crate::proxy::limits::RateFields;
use crate::proxy::wire::chunks::Broken;
use crate::proxy::wire::request::is_grpc;
use crate::upstream;

/// How a request failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
}

/// How soon a client may come again when there is no backend, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// How long the rest of a body is still read that was refused.
const LINGER: Duration = Duration::from_secs(1);

/// Why a request failed that could not be finished. `body_done` is whether the client had sent
/// its whole body: a backend is silent for as long as its client is. `answering` is whether the
/// backend's answer had begun.
pub(crate) fn reason_of(error: &Error, body_done: bool, answering: bool) -> Reason {
    use ErrorType::{InvalidHTTPHeader, ReadTimedout};
    match error.esource() {
        ErrorSource::Upstream => match error.etype() {
            ReadTimedout if !body_done => Reason::BodyTimeout,
            _ => Reason::Upstream(upstream::failure(error, answering)),
        },
        ErrorSource::Downstream => match error.etype() {
            ReadTimedout => Reason::BodyTimeout,
            _ if is_broken_body(error) => Reason::BadRequest,
            // The last is Pingora's own name (`protocols/http/v1/body.rs`).
            InvalidHTTPHeader
            | ErrorType::HTTPStatus(_)
            | ErrorType::H1Error
            | ErrorType::Custom("InvalidChunk") => Reason::BadRequest,
            _ => Reason::ClientGone,
        },
        // Pingora leaves out whose it was where an answer of ours finds its client gone: all errors of
        // the wire towards backends say so.
        ErrorSource::Internal | ErrorSource::Unset => match error.etype() {
            ReadTimedout => Reason::BodyTimeout,
            ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::WriteTimedout
            | ErrorType::ConnectionClosed
            | ErrorType::H1Error
            | ErrorType::H2Error => Reason::ClientGone,
            _ if is_of_h2(error) => Reason::ClientGone,
            _ => Reason::Internal,
        },
    }
}

/// Whether h2 has ended what failed: a client's stream, for those of backends say that they are.
fn is_of_h2(error: &Error) -> bool {
    let root: &(dyn std::error::Error + 'static) = error.root_cause();
    let mut causes = std::iter::successors(Some(root), |error| error.source());
    causes.any(<dyn std::error::Error>::is::<h2::Error>)
}

/// Whether a client's body was no body of chunks.
fn is_broken_body(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause
        .and_then(std::io::Error::get_ref)
        .is_some_and(|cause| cause.downcast_ref::<Broken>().is_some())
}

/// An error in words for the log; `answering` is whether the backend's answer had begun.
pub(crate) fn words_of(error: &Error, answering: bool) -> String {
    match error.esource() {
        ErrorSource::Upstream => match error.root_etype() {
            ErrorType::ConnectionClosed if answering => "closed within its answer".to_owned(),
            ErrorType::ReadTimedout if answering => "timed out within its answer".to_owned(),
            _ => upstream::reason(error),
        },
        // What clients do Pingora itself says best.
        ErrorSource::Downstream | ErrorSource::Internal | ErrorSource::Unset => error.to_string(),
    }
}

/// In how many seconds a client may come again, where the answer says so.
fn retry_after(reason: Reason, host: Host<'_>) -> Option<u32> {
    match reason {
        Reason::NoBackend | Reason::QueueFull | Reason::QueueTimeout | Reason::Paused => {
            Some(RETRY_AFTER_SECS)
        }
        Reason::TooManyLogins | Reason::TooManyClientRequests => Some(1),
        Reason::Maintenance => Some(host.options()?.maintenance.as_ref()?.retry_after_secs?.get()),
        _ => None,
    }
}

/// Answers with the status of `reason`, in the name of the host that it was for and with what its
/// limits say, and keeps the connection, if the client keeps its part.
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn respond(
    session: &mut impl Downstream,
    reason: Reason,
    host: Host<'_>,
    rate: Option<&RateFields>,
) -> Result<Failure> {
    let answer = reason.row().answer;
    if let Some((status, words)) = answer {
        if is_grpc(session.request()) {
            send_grpc(session, status, words).await?;
            return Ok(Failure { reason, status: Some(StatusCode::OK.as_u16()), error: None });
        }
        let content = host
            .page(status.as_u16())
            .or_else(|| maintenance::message(reason, host))
            .unwrap_or_else(|| Content::text(Bytes::from_static(words.as_bytes())));
        let mut response = ResponseHead::new(status);
        response.headers.insert(CACHE_CONTROL, "no-store");
        if let Some(retry_after) = retry_after(reason, host) {
            response.headers.insert(RETRY_AFTER, retry_after.to_string());
        }
        if reason == Reason::Unauthorized
            && let Some(challenge) = auth::challenge(host)
        {
            response.headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(rate) = rate {
            rate.write(&mut response);
        }
        if reason == Reason::MethodRefused {
            // RFC 9110 §15.5.6 wants the list; an empty one says that no method is at fault but this.
            response.headers.insert(ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        if status == StatusCode::BAD_REQUEST {
            // Whoever breaks the grammar once is not read on.
            session.close_after();
        }
        send(session, response, content, host).await?;
        if reason == Reason::BodyTooLarge {
            // A connection that is closed over bytes that nobody has read is reset, and the client may
            // never see the answer. So it has a moment to see it and to stop.
            let _ = pingora::time::timeout(LINGER, session.drain()).await;
        }
    }
    Ok(Failure { reason, status: answer.map(|(status, _)| status.as_u16()), error: None })
}

/// A whole response for a client that sent no whole request, so that no session exists.
pub(crate) fn raw_response(status: u16) -> Vec<u8> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = status.canonical_reason().unwrap_or_default();
    format!(
        "HTTP/1.1 {} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        status.as_u16()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpstreamFailure;

    #[test]
    fn the_log_says_in_words_what_a_backend_did() {
        let closed = || Error::new_up(ErrorType::ConnectionClosed);
        assert_eq!(words_of(&closed(), false), "closed without an answer");
        assert_eq!(words_of(&closed(), true), "closed within its answer");
        let stalled = Error::explain(ErrorType::ReadTimedout, "reading body").into_down();
        assert_eq!(words_of(&stalled, false), "Downstream ReadTimedout context: reading body");
    }

    #[test]
    fn a_backend_is_not_blamed_for_a_silent_client() {
        let silent = Error::new_up(ErrorType::ReadTimedout);
        assert_eq!(reason_of(&silent, false, false), Reason::BodyTimeout);
        assert_eq!(reason_of(&silent, true, false), Reason::Upstream(UpstreamFailure::Timeout));
        // What pingora-core says when a client has reset the stream that is answered.
        let gone = Error::explain(ErrorType::WriteError, "while writing h2 response to downstream");
        assert_eq!(reason_of(&gone, true, false), Reason::ClientGone);
        let reset = h2::Error::from(h2::Reason::CANCEL);
        let reset = Error::because(ErrorType::InternalError, "writing", reset).into_in();
        assert_eq!(reason_of(&reset, true, false), Reason::ClientGone);
        assert_eq!(
            reason_of(&Error::new_in(ErrorType::InternalError), true, false),
            Reason::Internal
        );
        let chunk = Error::new_down(ErrorType::Custom("InvalidChunk"));
        assert_eq!(reason_of(&chunk, false, false), Reason::BadRequest);
    }
}
