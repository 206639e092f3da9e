//! One line for each request that was refused or failed.

use pingora::proxy::Session;

use super::context::RequestContext;
use super::headers::{host_of, usable_request_id};
use crate::metrics::Reason;

/// Logs how a request failed. The query is left out: it may hold secrets.
pub(super) fn failed(session: &Session, ctx: &RequestContext) {
    let Some(failure) = &ctx.failure else { return };
    let request = session.req_header();
    let request_id = usable_request_id(request).or(ctx.request_id.as_deref());
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                reason = %failure.reason,
                status = failure.status,
                domain = ctx.domain().map(tracing::field::display),
                backend_id = ctx.backend().map(|node| tracing::field::display(&node.backend.id)),
                client_ip = ctx.client.map(|client| tracing::field::display(client.ip)),
                method = %request.method,
                host = host_of(request),
                path = request.uri.path(),
                request_id,
                attempt = ctx.attempts(),
                duration_ms = ctx.started.elapsed().as_millis(),
                error = failure.error.as_deref(),
                $message
            )
        };
    }
    match failure.reason {
        // The client's doing, or the operator's.
        Reason::UnknownHost
        | Reason::BadHost
        | Reason::BadRequest
        | Reason::MethodRefused
        | Reason::HeadTooLarge
        | Reason::HeadTimeout
        | Reason::BodyTimeout
        | Reason::ClientGone
        | Reason::UnknownServerName
        | Reason::NoCertificate
        | Reason::HandshakeFailed
        | Reason::HandshakeTimeout
        | Reason::TooManyHandshakes
        | Reason::UnknownChallenge
        | Reason::Maintenance
        | Reason::Unauthorized
        | Reason::TooManyLogins
        | Reason::Paused => line!(info, "request refused"),
        // Ours, or a backend's.
        Reason::NoBackend | Reason::Upstream(_) | Reason::Internal => line!(warn, "request failed"),
    }
}
