//! How a backend's answer goes to the client.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::answer::send;
use super::arrive::DRAIN_BODY;
use super::headers::{frame_for, strip_hop_by_hop};
use super::sent::BodyOf;
use super::shared::Shared;
use super::stages::{RequestContext, Stage};
use crate::model::UpstreamFailure;
use crate::proxy::decision::Kind;
use crate::proxy::host::compression;
use crate::proxy::host::content::Content;
use crate::proxy::host::pages::without_body;

impl Shared {
    /// Makes of a backend's head the one that the client gets.
    pub(super) async fn edit_response(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        strip_hop_by_hop(response);
        begin_answer(session, response.status, ctx);
        let page = self.adapt(session, response, ctx)?;
        frame_for(session.req_header().version, response);
        if self.metrics.is_stopping() || ctx.is_last() || ends_with_connection(session, response) {
            session.set_keepalive(None);
        }
        // A client that waits for a 100 does not send the body of what was answered without one.
        if !response.status.is_informational()
            && session.response_written().is_none()
            && session.req_header().headers.contains_key(header::EXPECT)
        {
            session.set_read_timeout(Some(DRAIN_BODY.min(ctx.options.read_timeout)));
        }
        if let Some(rate) = &ctx.rate {
            rate.write(response)?;
        }
        judge(response.status, ctx);
        if let Some(page) = page {
            // Pingora takes no other body for a head that it has; but what is sent already it does not
            // send again.
            send(session, without_body(response), page, self.host(ctx)).await?;
            if let Some(sent) = ctx.sent_mut() {
                sent.body_of = BodyOf::Page;
            }
        } else if !response.status.is_informational() {
            self.host(ctx).finish(response)?;
        }
        Ok(())
    }

    /// Does what the domain's options say about a backend's response, but for edits of headers. Answers
    /// with the page that takes the place of its body, where one does.
    fn adapt(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &RequestContext,
    ) -> Result<Option<Content>> {
        let host = self.host(ctx);
        let (Some(domain), Some(options), Some(sent)) = (ctx.domain(), host.options(), ctx.sent())
        else {
            return Ok(None);
        };
        if response.status.is_informational() {
            return Ok(None);
        }
        if let (Some(sticky), Some(node)) = (&options.sticky, sent.backend())
            && !sent.stays()
        {
            let secure = ctx.seen.as_ref().is_some_and(|seen| seen.is_secure);
            self.hosts.sticky.set(response, sticky, domain, &node.backend.id, secure)?;
        }
        // A call of gRPC has its status in trailers, and nobody reads a page.
        let wants_page = ctx.kind() != Kind::Grpc;
        let page = wants_page.then(|| host.page(response.status.as_u16())).flatten();
        if page.is_none() {
            compression::apply(session, response, &options.compression, sent.account.as_ref())?;
        }
        Ok(page)
    }
}

/// Takes the next piece of an answer's body.
pub(super) fn pass_body(body: &mut Option<Bytes>, is_end: bool, ctx: &RequestContext) {
    let Some(sent) = ctx.sent() else { return };
    if let Some(account) = &sent.account {
        account.pass(body, is_end);
    }
    if sent.body_of != BodyOf::Backend {
        *body = None;
    }
}

/// Notes that an answer begins, and what its connection carries from now on.
fn begin_answer(session: &mut Session, status: StatusCode, ctx: &mut RequestContext) {
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let has_body = !has_no_body(&session.req_header().method, status);
    let RequestContext { options, arrival, stage, .. } = ctx;
    let Stage::Sent(pinned, sent) = stage else { return };
    if !status.is_informational() || is_switch {
        sent.answered_at = Some(Instant::now());
        if let Some(meter) = &mut sent.body {
            meter.may_be_slow();
        }
    }
    if is_switch {
        session.set_read_timeout(Some(options.websocket_idle_timeout));
        // What follows is no body.
        sent.body = None;
        arrival.connection.upgraded.store(true, Ordering::Relaxed);
        pinned.in_flight.becomes_web_socket();
    }
    if !has_body {
        sent.body_of = BodyOf::Nobody;
    }
}

/// Notes of a backend how it has answered.
fn judge(status: StatusCode, ctx: &RequestContext) {
    let Some(node) = ctx.backend() else { return };
    if ctx.options.upstream.count_5xx && status.is_server_error() {
        let words = || format!("status {}", status.as_u16());
        node.live.note_failure(UpstreamFailure::Status5xx, words);
    } else if status != StatusCode::CONTINUE {
        node.live.note_success();
    }
}

/// Whether an answer has begun; what is interim is none.
pub(super) fn is_answering(session: &Session) -> bool {
    session.response_written().is_some_and(|response| {
        !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// Whether the client can't tell where this response, or its own request, ends but by the end of
/// the connection.
fn ends_with_connection(session: &mut Session, response: &ResponseHeader) -> bool {
    if response.status.is_informational() {
        return false;
    }
    // A client that waits for a 100 may send its body after a final answer, or never (RFC 9110
    // §10.1.1).
    if !session.as_mut().is_body_done() {
        return true;
    }
    let request = session.req_header();
    request.version == Version::HTTP_10
        && !has_no_body(&request.method, response.status)
        && !response.headers.contains_key(header::CONTENT_LENGTH)
}

/// Whether an answer has no body, whatever the backend sends (RFC 9110 §6.4.1).
fn has_no_body(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
