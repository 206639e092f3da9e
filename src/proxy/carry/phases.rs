//! A table of contents of a request's way: Pingora's phases, each handed to a function of this room.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use super::arrive::take_over;
use super::leaving::{Coming, note_stream};
use super::net::caught;
use super::pass::pass_body;
use super::shared::Shared;
use super::stages::RequestContext;
use super::{retry, upstream_head};
use crate::heads::Scheme;
use crate::proxy::client::connection::ARRIVAL;
use crate::proxy::client::downstream::Downstream;
use crate::proxy::client::pingora_head::{
    attach, hand_back, pingora_request, pingora_response, request_of, response_of,
};
use crate::proxy::decision::Kind;
use crate::proxy::memory::gate_of;
use crate::upstream;

tokio::task_local! {
    /// A request that was decided about before it was handed to Pingora.
    pub(crate) static DECIDED: Cell<Option<Box<RequestContext>>>;
}

/// Pingora's way of carrying requests.
pub(crate) struct Phases(Arc<Shared>);

impl Phases {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        let arrival = ARRIVAL.with(Clone::clone);
        arrival.connection.accepted.store(true, Ordering::Relaxed);
        DECIDED
            .try_with(Cell::take)
            .ok()
            .flatten()
            .map_or_else(|| self.0.begin(arrival), |decided| *decided)
    }

    /// None: even a disabled compression module would be built for each request. Responses that are
    /// compressed get one of ours when they come.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<bool> {
        attach(session.req_header_mut());
        let is_answered = if ctx.sent().is_some() {
            take_over(session, ctx);
            false
        } else {
            self.0.take_in(session, ctx).await?
        };
        hand_back(session.req_header_mut())?;
        Ok(is_answered)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<Box<HttpPeer>> {
        upstream_head::peer(session, ctx)
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
        upstream_head::take_body(body, end_of_stream, ctx)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let mut head = request_of(request);
        self.0.edit_request(session, &mut head, ctx)?;
        *request = pingora_request(&head)?;
        if request.version == Version::HTTP_2 {
            upstream::to_http2(request, head.scheme() == Some(Scheme::Https))?;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let mut head = response_of(response);
        upstream::check_answer(&mut head, ctx.kind() == Kind::WebSocket)?;
        if self.0.catch_answer(session, head.status, ctx) {
            return caught();
        }
        if head.headers.len() != response.headers.len() {
            *response = pingora_response(&head)?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let mut head = response_of(response);
        let body = self.0.edit_response(session, &mut head, ctx)?;
        note_stream(session.request(), &head, ctx);
        *response = pingora_response(&head)?;
        self.0.begin_body(session, &head, body, ctx).await
    }

    fn upstream_body_read_timeout(
        &self,
        _session: &Session,
        ctx: &RequestContext,
    ) -> Option<Duration> {
        ctx.body_read_timeout()
    }

    fn upstream_response_ended(
        &self,
        session: &Session,
        ctx: &mut RequestContext,
    ) -> Option<Coming> {
        self.0.left_stream(session.request(), ctx)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        pass_body(body, end_of_stream, ctx);
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestContext,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let again = self.0.retry_connect(ctx, &error);
        error.set_retry(again);
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
        self.0.retry_request(session, &mut error, ctx, client_reused);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut RequestContext,
    ) -> FailToProxy {
        self.0.fail(session, error, ctx).await;
        let status = ctx.failure.as_ref().and_then(|failure| failure.status);
        FailToProxy { error_code: status.unwrap_or(0), can_reuse_downstream: false }
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
        retry::log(ctx, error);
        true
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        ctx: &mut RequestContext,
    ) {
        self.0.finish(session, error, ctx);
    }
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
        let shared = Shared::new(options, reader, Arc::default(), None, host_services());
        let phases = Phases::new(Arc::new(shared));
        let mut modules = HttpModules::new();
        phases.init_downstream_modules(&mut modules);
        assert!(modules.build_ctx().get::<ResponseCompression>().is_none());
    }
}
