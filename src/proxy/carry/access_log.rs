//! One line for each request in the access log, and for those that failed in the log.

use std::time::Duration;

use super::asked::{Asked, protocol};
use super::headers::RequestId;
use super::stages::RequestContext;
use super::trace_context::trace_id;
use crate::clock::now_ms;
use crate::heads::names::{REFERER, USER_AGENT};
use crate::model::{AccessLogRule, Blame, Reason, ReleaseLabel};
use crate::proxy::client::downstream::Downstream;
use crate::proxy::wire::request::{host_of, usable_request_id};
use crate::state::{Pinned, TagLive};
use crate::telemetry::{AccessLine, AccessLog, Headers};

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
    let Some(log) = active.as_ref().filter(|_| !rule(ctx).is_off()) else { return };
    let reason = if std::thread::panicking() { Reason::Internal } else { Reason::Shutdown };
    let queries = log.logs_queries();
    log.write(&AccessLine {
        request_id: ctx.request_id.as_ref().map(RequestId::as_str).or(asked.request_id()),
        method: asked.method.as_str(),
        host: asked.host(),
        path: asked.path(),
        query: asked.query().filter(|_| queries),
        protocol: asked.protocol,
        tls: asked.tls,
        duration: ctx.started.elapsed(),
        reason: Some(reason.as_str()),
        referer: asked.referer().map(|from| referer(from, queries)),
        user_agent: asked.user_agent(),
        request_headers: Headers::kept(asked.headers.as_deref()),
        ..way_of(ctx)
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
    let rule = rule(ctx);
    let Some(log) = active.as_ref().filter(|_| !rule.is_off()) else { return false };
    let status = session.status().map(|status| status.as_u16());
    let reason = ctx.failure.as_ref().map(|failure| failure.reason);
    if !log.takes(rule, status, reason.is_some()) {
        return true;
    }
    let request = session.request();
    let queries = log.logs_queries();
    let of_answer = log.response_headers();
    let of_answer = (!of_answer.is_empty()).then(|| session.kept_headers(of_answer)).flatten();
    log.write(&AccessLine {
        request_id: request_id(session, ctx),
        trace_id: trace_id(&request.headers),
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
        reason: reason.map(Reason::as_str),
        referer: request.headers.get(REFERER).map(|from| referer(from, queries)),
        user_agent: request.headers.get(USER_AGENT),
        request_headers: Headers::in_head(&request.headers),
        response_headers: Headers::kept(of_answer.as_deref()),
        ..way_of(ctx)
    });
    true
}

/// What is known of a request's way, whether it came to its end or not.
fn way_of(ctx: &RequestContext) -> AccessLine<'_> {
    let asked = ctx.pinned().map(Pinned::tag);
    // The old tag has answered for the one on trial.
    let net = ctx.pinned().filter(|_| ctx.is_netted()).and_then(old_tag);
    let tag = net.or(asked);
    AccessLine {
        time_ms: now_ms(),
        client_ip: ctx.client().and_then(|client| client.origin),
        peer_ip: ctx.client().map(|client| client.peer),
        tls_sni: ctx.arrival.connection.server_name(),
        upstream: ctx.upstream_time(),
        domain: ctx.domain(),
        tag: tag.map(|of| of.tag().as_str()),
        release: tag.and_then(|of| of.release.as_ref()).map(ReleaseLabel::as_str),
        failed_tag: net.and(asked).map(|of| of.tag().as_str()),
        backend_id: ctx.backend().map(|node| node.backend.id.as_str()),
        tries: ctx.attempts(),
        ..AccessLine::default()
    }
}

/// The tag to which the one on trial would go back.
fn old_tag(pinned: &Pinned) -> Option<&TagLive> {
    let trial = pinned.domain.virtual_host.beside.trial.as_ref()?;
    pinned.domain.tags().iter().find(|of| *of.tag() == trial.from)
}

/// What is said of the log for this request; `[access_log]` says the rest.
fn rule(ctx: &RequestContext) -> AccessLogRule {
    ctx.domain_node().map(|node| node.access_log()).unwrap_or_default()
}

/// Its id, as the backend has seen it.
pub(super) fn request_id<'a>(
    session: &'a impl Downstream,
    ctx: &'a RequestContext,
) -> Option<&'a str> {
    usable_request_id(session.request()).or(ctx.request_id.as_ref().map(RequestId::as_str))
}

/// A referer as it is logged.
fn referer(from: &[u8], with_query: bool) -> &[u8] {
    if with_query { from } else { plain(from) }
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
    let request_id = request_id(session, ctx);
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
