//! One line for each request in the access log, and for those that failed in the log.

use std::time::Duration;

use super::asked::{Asked, protocol};
use super::headers::RequestId;
use super::stages::RequestContext;
use super::trace_context::trace_id;
use crate::clock::now_ms;
use crate::heads::names::{REFERER, USER_AGENT};
use crate::model::{Blame, Reason};
use crate::proxy::client::downstream::Downstream;
use crate::proxy::wire::request::{host_of, usable_request_id};
use crate::telemetry::{AccessLine, AccessLog};

/// A request that goes without an end was cut off.
impl Drop for RequestContext {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            cut_off(&asked, self);
        }
    }
}

/// Logs a request that has no end: the stop of the server has cut it off, or a bug.
fn cut_off(asked: &Asked, ctx: &RequestContext) {
    let active = ctx.options.access_log.active();
    let Some(log) = &*active else { return };
    let reason = if std::thread::panicking() { Reason::Internal } else { Reason::Shutdown };
    let live = ctx.pinned().map(|pinned| &pinned.domain.virtual_host);
    let client_id = asked.request_id.as_deref();
    log.write(&AccessLine {
        time_ms: now_ms(),
        request_id: ctx.request_id.as_ref().map(RequestId::as_str).or(client_id),
        client_ip: ctx.client().and_then(|client| client.origin),
        peer_ip: ctx.client().map(|client| client.peer),
        method: asked.method.as_str(),
        host: asked.host.as_deref(),
        path: asked.path(),
        query: asked.query().filter(|_| log.logs_queries()),
        protocol: asked.protocol,
        tls: asked.tls,
        duration: ctx.started.elapsed(),
        upstream: ctx.upstream_time(),
        domain: ctx.domain(),
        tag: live.map(|domain| domain.live.as_str()),
        backend_id: ctx.backend().map(|node| node.backend.id.as_str()),
        tries: ctx.attempts(),
        reason: Some(reason.as_str()),
        ..AccessLine::default()
    });
}

/// Logs how a request ended: in the access log where there is one, and in the log when it failed.
pub(crate) fn ended(session: &impl Downstream, ctx: &RequestContext, took: Duration) {
    let logged = write(&ctx.options.access_log, session, ctx, took);
    failed(session, ctx, logged);
}

/// Writes the line of the access log; false where there is none.
fn write(log: &AccessLog, session: &impl Downstream, ctx: &RequestContext, took: Duration) -> bool {
    let active = log.active();
    let Some(log) = &*active else { return false };
    let status = session.status().map(|status| status.as_u16());
    let reason = ctx.failure.as_ref().map(|failure| failure.reason);
    if !log.takes(status, reason.is_some()) {
        return true;
    }
    let request = session.request();
    let live = ctx.pinned().map(|pinned| &pinned.domain.virtual_host);
    let queries = log.logs_queries();
    log.write(&AccessLine {
        time_ms: now_ms(),
        request_id: usable_request_id(request).or(ctx.request_id.as_ref().map(RequestId::as_str)),
        trace_id: trace_id(&request.headers),
        client_ip: ctx.client().and_then(|client| client.origin),
        peer_ip: ctx.client().map(|client| client.peer),
        method: request.method.as_str(),
        host: host_of(request),
        path: request.path(),
        query: request.query().filter(|_| queries),
        protocol: protocol(request),
        tls: session.tls(),
        status,
        bytes_in: session.received(),
        bytes_out: session.sent(),
        duration: took,
        upstream: ctx.upstream_time(),
        domain: ctx.domain(),
        tag: live.map(|domain| domain.live.as_str()),
        backend_id: ctx.backend().map(|node| node.backend.id.as_str()),
        tries: ctx.attempts(),
        reason: reason.map(Reason::as_str),
        referer: request.headers.get(REFERER).map(|from| if queries { from } else { plain(from) }),
        user_agent: request.headers.get(USER_AGENT),
    });
    true
}

/// A URL without its query.
fn plain(url: &[u8]) -> &[u8] {
    url.split(|byte| *byte == b'?').next().unwrap_or(url)
}

/// Logs how a request failed; when the access log has it, only what was not the client's doing. The
/// query is left out: it may hold secrets.
fn failed(session: &impl Downstream, ctx: &RequestContext, in_access_log: bool) {
    let Some(failure) = &ctx.failure else { return };
    let request = session.request();
    let request_id = usable_request_id(request).or(ctx.request_id.as_ref().map(RequestId::as_str));
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                reason = %failure.reason,
                status = failure.status,
                domain = ctx.domain().map(tracing::field::display),
                backend_id = ctx.backend().map(|node| tracing::field::display(&node.backend.id)),
                client_ip =
                    ctx.client().and_then(|client| client.origin).map(tracing::field::display),
                peer_ip = ctx.client().map(|client| tracing::field::display(client.peer)),
                method = %request.method,
                host = host_of(request),
                path = request.path(),
                request_id,
                attempt = ctx.attempts(),
                duration_ms = ctx.started.elapsed().as_millis(),
                error = failure.error.as_deref(),
                $message
            )
        };
    }
    match failure.reason.row().blame {
        Blame::Client | Blame::Operator => {
            if !in_access_log {
                line!(info, "request refused");
            }
        }
        Blame::Backend | Blame::Proxy => line!(warn, "request failed"),
    }
}
