//! A table of contents of a request's way: Pingora's phases, each handed to a function of this room.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use super::stages::RequestContext;
use super::via::Via;
use super::{response, retry, upstream_head};
use crate::counters::Metrics;
use crate::proxy::decision::Kind;
use crate::proxy::host::{Host, HostServices};
use crate::proxy::limits::{Connections, Retries};
use crate::proxy::memory::gate_of;
use crate::proxy::options::{Https, SharedOptions};
use crate::state::Reader;
use crate::upstream;

/// What requests are carried with.
pub(crate) struct Phases {
    pub(super) options: SharedOptions,
    pub(super) reader: Reader,
    pub(super) metrics: Arc<Metrics>,
    pub(super) https: Option<Arc<Https>>,
    pub(super) hosts: HostServices,
    pub(super) retries: Retries,
    pub(super) connections: Connections,
    pub(super) via: Via,
}

impl Phases {
    pub(crate) fn new(
        options: SharedOptions,
        reader: Reader,
        metrics: Arc<Metrics>,
        https: Option<Arc<Https>>,
        hosts: HostServices,
    ) -> Self {
        let (retries, connections) = (Retries::default(), Connections::default());
        Self { options, reader, metrics, https, hosts, retries, connections, via: Via::random() }
    }

    /// What clients have of what belongs to all.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// In whose name a request is answered.
    pub(super) fn host<'a>(&'a self, ctx: &'a RequestContext) -> Host<'a> {
        let is_tls = ctx.client().is_some_and(|client| client.secure);
        Host::new(ctx.domain_node().map(|node| &**node), &self.hosts.pages, is_tls)
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        self.begin()
    }

    /// None: even a disabled compression module would be built for each request. Responses that are
    /// compressed get one of ours when they come.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<bool> {
        self.take_in(session, ctx).await
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
        self.edit_request(session, request, ctx)
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        upstream::check_answer(response, ctx.kind() == Kind::WebSocket)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        self.edit_response(session, response, ctx).await
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        response::pass_body(body, end_of_stream, ctx);
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestContext,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let again = self.retry_connect(ctx, &error);
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
        self.retry_request(session, &mut error, ctx, client_reused);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut RequestContext,
    ) -> FailToProxy {
        self.fail(session, error, ctx).await
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
        self.finish(session, error, ctx);
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
        let phases = Phases::new(options, reader, Arc::default(), None, host_services());
        let mut modules = HttpModules::new();
        phases.init_downstream_modules(&mut modules);
        assert!(modules.build_ctx().get::<ResponseCompression>().is_none());
    }
}
