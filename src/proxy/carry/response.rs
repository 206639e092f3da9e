//! How a backend's answer goes to the client.

use std::sync::atomic::Ordering;
use std::time::Instant;

use http::{Method, StatusCode, Version};
use pingora::Result;

use super::answer::send;
use super::headers::{frame_for, strip_hop_by_hop};
use super::shared::Shared;
use super::stages::{RequestContext, Stage};
use crate::heads::names::{CONTENT_LENGTH, EXPECT, X_ROBOTS_TAG};
use crate::heads::{RequestHead, ResponseHead};
use crate::model::UpstreamFailure;
use crate::proxy::client::downstream::{DRAIN_BODY, Downstream};
use crate::proxy::decision::Kind;
use crate::proxy::host::compression::{self, Encode};
use crate::proxy::host::content::Content;
use crate::proxy::host::headers::Came;
use crate::proxy::host::pages::without_body;
use crate::proxy::host::split;
use crate::state::{BackendNode, Way};

/// What becomes of the body of a backend's answer.
pub(crate) enum Body {
    AsItIs,
    Encoded(Box<Encode>),
    /// The client gets this in its place.
    Page(Content),
}

impl Shared {
    /// Makes of a backend's head the one that the client gets.
    pub(crate) fn edit_response(
        &self,
        session: &mut impl Downstream,
        response: &mut ResponseHead,
        ctx: &mut RequestContext,
    ) -> Result<Body> {
        strip_hop_by_hop(response);
        begin_answer(session, response.status, ctx);
        let body = self.adapt(session.request(), response, ctx)?;
        frame_for(session.request().version, session.passes_trailers(), response);
        if self.is_stopping() || ctx.is_last() || ends_with_connection(session, response) {
            session.close_after();
        }
        // A client that waits for a 100 does not send the body of what was answered without one.
        if !response.status.is_informational()
            && session.status().is_none()
            && session.request().headers.has(EXPECT)
        {
            session.set_read_timeout(DRAIN_BODY.min(ctx.options.read_timeout));
        }
        if let Some(rate) = &ctx.rate {
            rate.write(response);
        }
        if let Some(node) = ctx.backend() {
            judge(response.status, node, ctx);
        }
        if !matches!(body, Body::Page(_)) && !response.status.is_informational() {
            self.host(ctx).finish(response, Came::of(session));
        }
        Ok(body)
    }

    /// Sends a page in the place of a backend's answer.
    ///
    /// # Errors
    /// When the client takes no answer any more.
    pub(crate) async fn send_page(
        &self,
        session: &mut impl Downstream,
        response: &ResponseHead,
        page: Content,
        ctx: &RequestContext,
    ) -> Result<()> {
        send(session, without_body(response), page, self.host(ctx)).await
    }

    /// Does what the domain's options say about a backend's response, but for edits of headers. Answers
    /// with what becomes of its body.
    fn adapt(
        &self,
        request: &RequestHead,
        response: &mut ResponseHead,
        ctx: &RequestContext,
    ) -> Result<Body> {
        let host = self.host(ctx);
        if response.status.is_informational() {
            return Ok(Body::AsItIs);
        }
        let secure = ctx.seen.as_ref().is_some_and(|seen| seen.is_secure);
        if let Some(newcomer) = ctx.newcomer {
            split::set_cookie(response, newcomer, secure);
        }
        if ctx.pinned().is_some_and(|pinned| matches!(pinned.way, Way::Asked(_))) {
            response.headers.insert(X_ROBOTS_TAG, "noindex");
        }
        let (Some(domain), Some(options), Some(sent)) = (ctx.domain(), host.options(), ctx.sent())
        else {
            return Ok(Body::AsItIs);
        };
        if let (Some(sticky), Some(node)) = (&options.sticky, sent.backend())
            && !sent.stays()
        {
            self.hosts.sticky.set(response, sticky, domain, &node.backend.id, secure);
        }
        // A call of gRPC has its status in trailers, and nobody reads a page.
        let wants_page = ctx.kind() != Kind::Grpc;
        let page = wants_page.then(|| host.page(response.status.as_u16())).flatten();
        if let Some(page) = page {
            return Ok(Body::Page(page));
        }
        let memory = &ctx.arrival.connection.budget;
        let encode = compression::apply(request, response, &options.compression, memory)?;
        Ok(encode.map_or(Body::AsItIs, Body::Encoded))
    }
}

/// Notes that an answer begins, and what its connection carries from now on.
fn begin_answer(session: &mut impl Downstream, status: StatusCode, ctx: &mut RequestContext) {
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let websocket_idle_timeout = ctx.websocket_idle_timeout();
    let RequestContext { arrival, stage, .. } = ctx;
    let Stage::Sent(pinned, sent) = stage else { return };
    if !status.is_informational() || is_switch {
        sent.answered_at = Some(Instant::now());
        if let Some(meter) = &mut sent.body {
            meter.may_be_slow();
        }
    }
    if is_switch {
        session.set_read_timeout(websocket_idle_timeout);
        // What follows is no body.
        sent.body = None;
        arrival.connection.upgraded.store(true, Ordering::Relaxed);
        pinned.in_flight.becomes_web_socket();
    }
}

/// Notes of a backend how it has answered.
pub(super) fn judge(status: StatusCode, node: &BackendNode, ctx: &RequestContext) {
    if ctx.options.upstream.count_5xx && status.is_server_error() {
        let words = || format!("status {}", status.as_u16());
        node.live.note_failure(UpstreamFailure::Status5xx, words);
    } else if status != StatusCode::CONTINUE {
        node.live.note_success();
    }
}

/// Whether an answer has begun; what is interim is none.
pub(super) fn is_answering(session: &impl Downstream) -> bool {
    session.status().is_some_and(|status| {
        !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// Whether the client can't tell where this response, or its own request, ends but by the end of
/// the connection.
fn ends_with_connection(session: &mut impl Downstream, response: &ResponseHead) -> bool {
    if response.status.is_informational() {
        return false;
    }
    // A client that waits for a 100 may send its body after a final answer, or never (RFC 9110
    // §10.1.1).
    if !session.is_body_read() {
        return true;
    }
    let request = session.request();
    request.version == Version::HTTP_10
        && !has_no_body(&request.method, response.status)
        && !response.headers.has(CONTENT_LENGTH)
}

/// Whether an answer has no body, whatever the backend sends (RFC 9110 §6.4.1).
pub(crate) fn has_no_body(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
