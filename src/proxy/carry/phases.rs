//! Pingora's phases, each handing over to a plain function of this room. One `impl` of its trait, so one
//! file.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::access_log;
use super::admit::{check_head, count_in, is_last, meter_body};
use super::answer::send;
use super::claims::forward;
use super::context::{BodyOf, RequestContext};
use super::failure::{Failure, reason_of, respond, words_of};
use super::headers::{
    REQUEST_ID, RequestId, frame_for, remove_te, strip_hop_by_hop, to_origin_form,
};
use super::intake::put_right;
use super::redirect::{prove, redirect};
use super::routing::{Routing, Stop, is_secure};
use super::via::Via;
use crate::counters::Metrics;
use crate::model::ProxyHeader;
use crate::model::Reason;
use crate::model::UpstreamFailure;
use crate::proxy::client::connection::Connection;
use crate::proxy::client::forwarded::Sources;
use crate::proxy::client::sender::Client;
use crate::proxy::host::content::Content;
use crate::proxy::host::pages::without_body;
use crate::proxy::host::{Host, HostServices, compression, headers, paths};
use crate::proxy::limits::{Connections, Retries};
use crate::proxy::memory::{Held, gate_of, gated};
use crate::proxy::options::{Https, ProxyOptions, SharedOptions};
use crate::proxy::wire::request::{
    X_REQUEST_ID, forwarded_proto, is_grpc, original_host, usable_request_id, wants_websocket,
};
use crate::state::{Ended, Reader};
use crate::upstream;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;

/// How long the rest of a request body that nobody wants may take, so that its connection can be
/// used again.
const DRAIN_BODY: Duration = Duration::from_secs(5);

/// The `ProxyHttp` of this product.
pub(crate) struct Phases {
    options: SharedOptions,
    metrics: Arc<Metrics>,
    routing: Routing,
    retries: Retries,
    connections: Connections,
    via: Via,
}

impl Phases {
    pub(crate) fn new(
        options: SharedOptions,
        reader: Reader,
        metrics: Arc<Metrics>,
        https: Option<Arc<Https>>,
        hosts: HostServices,
    ) -> Self {
        let routing = Routing { reader, metrics: Arc::clone(&metrics), https, hosts };
        let (retries, connections) = (Retries::default(), Connections::default());
        Self { options, metrics, routing, retries, connections, via: Via::random() }
    }

    /// What clients have of what belongs to all.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// In whose name a request is answered.
    fn host<'a>(&'a self, ctx: &'a RequestContext) -> Host<'a> {
        Host::new(
            ctx.domain_node(),
            &self.routing.hosts.pages,
            ctx.client.is_some_and(|client| client.secure),
        )
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
        let (Some(domain), Some(options)) = (ctx.domain(), host.options()) else { return Ok(None) };
        if response.status.is_informational() {
            return Ok(None);
        }
        if let (Some(sticky), Some(node)) = (&options.sticky, ctx.backend())
            && ctx.stays_with.as_ref() != Some(&node.backend.id)
        {
            let secure = is_secure(session.req_header(), ctx);
            self.routing.hosts.sticky.set(response, sticky, domain, &node.backend.id, secure)?;
        }
        // A call of gRPC has its status in trailers, and nobody reads a page.
        let wants_page = !is_grpc(session.req_header());
        let page = wants_page.then(|| host.page(response.status.as_u16())).flatten();
        if page.is_none() {
            compression::apply(session, response, &options.compression, ctx.account.as_ref())?;
        }
        Ok(page)
    }

    /// Who sent a request.
    fn client(request: &RequestHeader, ctx: &RequestContext) -> Option<Client> {
        let options = &ctx.options;
        let sources = Sources {
            trusted: &options.trusted_proxies,
            header: options.client_ip_header.as_ref(),
        };
        Some(Client::of(ctx.connection.as_deref()?, request, sources))
    }

    /// Puts a request right, and counts what it loses.
    fn take_in(&self, session: &mut Session, ctx: &RequestContext) -> Result<()> {
        let (underscores, named_by) =
            (ctx.options.underscores_in_headers, ctx.options.client_ip_header.as_ref());
        let dropped = put_right(session.req_header_mut(), underscores, named_by)?;
        if dropped > 0 {
            self.metrics.count_dropped_fields(dropped);
        }
        Ok(())
    }

    fn set_client_timeouts(session: &mut Session, options: &ProxyOptions) {
        session.set_read_timeout(Some(options.read_timeout));
        session.set_write_timeout(Some(options.write_timeout));
        session.set_total_drain_timeout(Some(DRAIN_BODY));
        // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
        if session.req_header().version == Version::HTTP_10 {
            session.set_ignore_info_resp(true);
        }
        // Pingora would close the connection after each `Expect: 100-continue`, because the body is
        // not read yet when the backend's 100 passes.
        if session.req_header().headers.contains_key(header::EXPECT) {
            session.set_close_on_response_before_downstream_finish(false);
        }
    }

    /// Gives up the backend that a request was sent to, and chooses another if it may be tried there.
    fn try_elsewhere(&self, ctx: &mut RequestContext) -> bool {
        if let Some(failed) = ctx.chosen.take() {
            ctx.tried.push(failed.node);
        }
        ctx.tried.len() < ctx.options.upstream.max_tries
            && ctx.may_try_again(&self.retries, self.metrics.busy.count())
            && ctx.choose_again()
    }

    /// Notes how a try ended that got no usable answer, for health and for the log.
    fn blame(ctx: &RequestContext, error: &Error, answering: bool) {
        if let Some(node) = ctx.backend() {
            let failure = upstream::failure(error, answering);
            node.live.note_failure(failure, || words_of(error, answering));
        }
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new(self.options.load_full(), self.metrics.busy.enter())
    }

    /// None: even a disabled compression module would be built for each request. Responses that are
    /// compressed get one of ours when they come.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn on_connection_reuse(
        &self,
        _session: &mut Session,
        ctx: &mut RequestContext,
        connection: Box<dyn std::any::Any + Send + Sync>,
    ) {
        if let Ok(connection) = connection.downcast::<Arc<Connection>>() {
            connection.accepted.store(true, Ordering::Relaxed);
            ctx.connection = Some(*connection);
            // Its connection has been busy since the first byte of its head.
            ctx.busy = None;
        }
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<bool> {
        ctx.client = Self::client(session.req_header(), ctx);
        ctx.asked = access_log::asked(session, ctx);
        Self::set_client_timeouts(session, &ctx.options);
        ctx.is_last = is_last(ctx);
        if ctx.is_last {
            session.set_keepalive(None);
        }
        let routed = if let Some(reason) = check_head(session, ctx) {
            // A client that ignores limits is not waited for again.
            session.set_keepalive(None);
            Err(reason.into())
        } else if self.via.is_loop(session.req_header()) {
            Err(Reason::LoopDetected.into())
        } else if let Err(reason) = count_in(session.req_header(), ctx, &self.connections) {
            Err(reason.into())
        } else {
            self.take_in(session, ctx)?;
            self.routing.pass(session, ctx).await
        };
        match routed {
            Ok(()) => {
                meter_body(session, ctx);
                Ok(false)
            }
            Err(Stop::Refuse(reason)) => {
                ctx.failure =
                    Some(respond(session, reason, self.host(ctx), ctx.rate.as_deref()).await?);
                Ok(true)
            }
            Err(Stop::Redirect(location)) => {
                redirect(session, location, self.host(ctx)).await.map(|()| true)
            }
            Err(Stop::Prove(answer)) => prove(session, &answer).await.map(|()| true),
            // Done before.
            Err(Stop::Check(_) | Stop::Wait(_)) => Err(Error::new_in(ErrorType::InternalError)),
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<Box<HttpPeer>> {
        let unroutable = || Error::explain(ErrorType::ConnectNoRoute, "no address").into_up();
        let node = &ctx.chosen.as_ref().ok_or_else(unroutable)?.node;
        ctx.sent_at = Some(Instant::now());
        let mut peer = upstream::peer(node, &node.live.endpoints(), ctx.tries_of(node))?;
        let upstream = &ctx.options.upstream;
        let mut silent = upstream.read_timeout;
        if wants_websocket(session.req_header()) {
            silent = ctx.options.websocket_idle_timeout;
            let connection = ctx.connection.clone();
            let has_agreed =
                move || connection.as_ref().is_some_and(|it| it.upgraded.load(Ordering::Relaxed));
            upstream::for_upgrade(&mut peer, upstream.read_timeout, Arc::new(has_agreed));
        }
        if upstream::speaks_only_http1(&peer, node) {
            gated(&mut peer);
        } else if !session.as_mut().is_body_done() {
            upstream::for_duplex(&mut peer);
        }
        upstream::announce(&mut peer, node.backend.send_proxy_protocol, || passed_on(session));
        peer.options.connection_timeout = Some(upstream.connect_timeout);
        peer.options.total_connection_timeout = Some(upstream.connect_timeout);
        peer.options.read_timeout = Some(silent);
        peer.options.write_timeout = Some(upstream.write_timeout);
        peer.options.idle_timeout = Some(upstream.idle_timeout);
        if ctx.replayed {
            // A key that no kept connection has: the replay goes over a fresh one.
            peer.group_key ^= fastrand::u64(1..);
        }
        if ctx.replayed || wants_websocket(session.req_header()) {
            // Nobody finds it again: kept, it would only take a place at the backend.
            peer.options.idle_timeout = Some(Duration::from_millis(1));
        }
        Ok(Box::new(peer))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::fd::RawFd,
        digest: Option<&Digest>,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        ctx.connected(gate_of(digest));
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let piece = body.as_ref().map_or(0, Bytes::len);
        if let Some(meter) = &mut ctx.body
            && let Some(reason) = meter.take(piece, end_of_stream)
        {
            ctx.cut_off = Some(reason);
            let error = ErrorType::CustomCode("BodyRefused", 413);
            return Err(Error::explain(error, reason.as_str()).into_down());
        }
        // An empty last chunk would be written as a chunk *and* end the body (pingora#935): a second
        // terminator, which the backend reads as the start of the next request.
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        if let (Some(bytes), Some(connection)) = (body.as_mut(), &ctx.connection) {
            *bytes = Held::upload(std::mem::take(bytes), &connection.budget);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        if request.version == Version::HTTP_11
            && let Some(node) = ctx.backend()
            && !wants_websocket(session.req_header())
        {
            upstream::check_http1(node.backend.scheme)?;
            node.live.note_only_http1();
        }
        if !wants_websocket(session.req_header()) {
            // Pingora looks at the field alone.
            request.remove_header(&header::UPGRADE);
            request.remove_header(&header::CONNECTION);
        }
        let host = original_host(session.req_header())?;
        to_origin_form(request)?;
        let version = session.req_header().version;
        self.via.add(request, version)?;
        remove_te(request, version);
        if let Some(client) = ctx.client {
            forward(request, client, ctx.options.client_ip_header.as_ref(), host.as_ref())?;
        }
        let is_https = forwarded_proto(request) == Some("https");
        // One id and no other: the one that is logged.
        if let Some(id) = usable_request_id(request) {
            if request.headers.get_all(X_REQUEST_ID).iter().nth(1).is_some() {
                let id = id.to_owned();
                request.insert_header(REQUEST_ID, id)?;
            }
        } else {
            let id = ctx.request_id.get_or_insert_with(RequestId::random);
            request.insert_header(REQUEST_ID, id.as_str())?;
        }
        if let Some(pinned) = &ctx.pinned
            && let Some(options) = self.host(ctx).options()
        {
            if let Some(route) = pinned.route {
                paths::strip(pinned.domain.option_of(route), request)?;
            }
            headers::edit_request(&options.request_headers, request)?;
        }
        if request.version == Version::HTTP_2 {
            // Not what the client says of itself: an application takes it for how it was reached.
            upstream::to_http2(request, is_https)?;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut RequestContext,
    ) -> Result<()> {
        upstream::check_answer(response, wants_websocket(session.req_header()))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        strip_hop_by_hop(response);
        if !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS
        {
            ctx.answered_at = Some(Instant::now());
            if let Some(meter) = &mut ctx.body {
                meter.may_be_slow();
            }
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            session.set_read_timeout(Some(ctx.options.websocket_idle_timeout));
            // What follows is no body.
            ctx.body = None;
            if let Some(connection) = &ctx.connection {
                connection.upgraded.store(true, Ordering::Relaxed);
            }
            if let Some(pinned) = &mut ctx.pinned {
                pinned.in_flight.becomes_web_socket();
            }
        }
        if has_no_body(&session.req_header().method, response.status) {
            ctx.body_of = BodyOf::Nobody;
        }
        let page = self.adapt(session, response, ctx)?;
        frame_for(session.req_header().version, response);
        if self.metrics.is_stopping() || ctx.is_last || ends_with_connection(session, response) {
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
        if let Some(node) = ctx.backend() {
            if ctx.options.upstream.count_5xx && response.status.is_server_error() {
                let words = || format!("status {}", response.status.as_u16());
                node.live.note_failure(UpstreamFailure::Status5xx, words);
            } else if response.status != StatusCode::CONTINUE {
                node.live.note_success();
            }
        }
        if let Some(page) = page {
            // Pingora takes no other body for a head that it has; but what is sent already it does not
            // send again.
            send(session, without_body(response), page, self.host(ctx)).await?;
            ctx.body_of = BodyOf::Page;
        } else if !response.status.is_informational() {
            self.host(ctx).finish(response)?;
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        if let Some(account) = &ctx.account {
            account.pass(body, end_of_stream);
        }
        if ctx.body_of != BodyOf::Backend {
            *body = None;
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestContext,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if upstream::is_unprocessed(&error) && !ctx.replayed {
            // A kept connection of HTTP/2 that takes no request any more: the backend may be well.
            ctx.replayed = true;
            error.set_retry(true);
            return error;
        }
        Self::blame(ctx, &error, false);
        // Nothing was sent yet, so any method may be tried elsewhere.
        error.set_retry(self.try_elsewhere(ctx));
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut RequestContext,
        client_reused: bool,
    ) -> Box<Error> {
        // What may have been acted on is not sent twice, and what is not kept can't be.
        let is_kept = !session.as_ref().retry_buffer_truncated();
        let is_unprocessed = !is_answering(session)
            && *error.esource() == ErrorSource::Upstream
            && upstream::is_unprocessed(&error);
        if !is_kept {
            error.set_retry(false);
        } else if is_unprocessed {
            // Once to the same backend, for its connection may just have been at its end.
            let again = !ctx.replayed || self.try_elsewhere(ctx);
            error.set_retry(again);
        } else if session.req_header().method.is_idempotent() && !ctx.replayed {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        ctx.replayed |= error.retry();
        let mut stalled_client =
            matches!(error.etype(), ErrorType::ReadTimedout) && !session.as_mut().is_body_done();
        if matches!(error.etype(), ErrorType::ReadTimedout) && ctx.waits_for_client() {
            stalled_client = true;
            ctx.cut_off = Some(Reason::ClientGone);
        }
        if *error.esource() == ErrorSource::Upstream && !error.retry() && !stalled_client {
            Self::blame(ctx, &error, is_answering(session));
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut RequestContext,
    ) -> FailToProxy {
        let answering = is_answering(session);
        let failed = reason_of(error, session.as_mut().is_body_done(), answering);
        let reason = ctx.cut_off.unwrap_or(failed);
        // Pingora closes after a failure, whatever the answer says; so the answer says it. Else a
        // client sends its next request into a connection that is closing.
        session.set_keepalive(None);
        let answered = if answering {
            // Too late for a status; the broken body tells the client.
            Ok(Failure { reason, status: None, error: None })
        } else {
            respond(session, reason, self.host(ctx), None).await
        };
        let unanswered = Failure { reason, status: None, error: None };
        let failure = answered.unwrap_or(unanswered);
        let error_code = failure.status.unwrap_or(0);
        let mut words = words_of(error, answering);
        if ctx.is_over_budget {
            words.push_str("; not tried again, for the retry budget is used up");
        }
        ctx.failure = Some(Failure { error: Some(words), ..failure });
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// Our own line says more, and says it once.
    fn suppress_error_log(&self, _: &Session, _: &RequestContext, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        ctx: &RequestContext,
        error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        tracing::debug!(
            domain = ctx.domain().map(tracing::field::display),
            backend_id = ctx.tried.last().map(|node| tracing::field::display(&node.backend.id)),
            attempt = ctx.tried.len(),
            error = words_of(error, false),
            "request is tried again"
        );
        true
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        ctx: &mut RequestContext,
    ) {
        self.metrics.count_request();
        let took = ctx.started.elapsed();
        count(session, ctx, took);
        if let Some(failure) = &ctx.failure {
            self.metrics.count_refused(failure.reason);
        }
        if let Some(connection) = &ctx.connection {
            let is_whole = error.is_none() && is_answering(session);
            let keeps = session.as_downstream().get_keepalive().is_some();
            connection.given_up.answered(is_whole.then_some(keeps));
        }
        ctx.asked = None;
        access_log::ended(session, ctx, took);
    }
}

/// Whose connection a request came over.
fn passed_on(session: &Session) -> ProxyHeader {
    let end = |address: Option<&PeerAddr>| address.and_then(PeerAddr::as_inet).copied();
    match (end(session.client_addr()), end(session.server_addr())) {
        (Some(client), Some(server)) => ProxyHeader::Proxied { client, server },
        _ => ProxyHeader::Local,
    }
}

/// Whether an answer has begun; what is interim is none.
fn is_answering(session: &Session) -> bool {
    session.response_written().is_some_and(|response| {
        !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// Counts a request that has ended after `took`, where it went.
fn count(session: &Session, ctx: &RequestContext, took: Duration) {
    let Some(pinned) = &ctx.pinned else { return };
    let status = session.response_written().map(|response| response.status.as_u16());
    // What follows a handshake lasts as long as people like.
    let took = match (status, ctx.answered_at) {
        (Some(101), Some(answered_at)) => answered_at - ctx.started,
        _ => took,
    };
    let ended = Ended {
        status,
        failed: ctx.has_failed(status),
        took,
        received: session.as_downstream().body_bytes_read() as u64,
        sent: session.as_downstream().body_bytes_sent() as u64,
        retries: ctx.attempts().saturating_sub(1) as u64,
    };
    pinned.tag().traffic.count(&ended);
    if let (Some(node), Some(took)) = (ctx.backend(), ctx.upstream_time()) {
        if ctx.answered_at.is_some() {
            node.live.pace().note(took);
        }
        node.live.traffic().count(&Ended { took, ..ended });
    }
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

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;

    use super::*;
    use crate::proxy::tests::{host_services, options};
    use crate::state::{Snapshot, publication};

    #[test]
    fn no_module_is_built_for_each_request() {
        use pingora::modules::http::compression::ResponseCompression;
        let (_publisher, reader) = publication(Snapshot::default());
        let options = Arc::new(ArcSwap::from_pointee(options()));
        let phases = Phases::new(options, reader, Arc::default(), None, host_services());
        let mut modules = HttpModules::new();
        phases.init_downstream_modules(&mut modules);
        assert!(modules.build_ctx().get::<ResponseCompression>().is_none());
    }
}
