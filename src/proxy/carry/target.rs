//! Where a request goes, and how long each step of it may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::{Error, ErrorType, Result};

use super::stages::{RequestContext, Stage};
use crate::proxy::decision::Kind;
use crate::state::BackendNode;

/// Where a request goes, and how long each step of it may take.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) node: Arc<BackendNode>,
    /// How often that backend has been tried in vain: each try takes its next address.
    pub(crate) pick: usize,
    /// Whether no connection will do that has carried another request.
    pub(crate) is_fresh: bool,
    pub(crate) is_websocket: bool,
    pub(crate) connect_timeout: Duration,
    /// How long the backend may say nothing.
    pub(crate) read_timeout: Duration,
    /// How long the backend may take nothing of the request.
    pub(crate) write_timeout: Duration,
    /// How long its connection is kept.
    pub(crate) idle_timeout: Duration,
}

impl RequestContext {
    /// The backend that it goes to now, from this moment on.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn begin_try(&mut self) -> Result<Target> {
        let is_websocket = self.kind() == Kind::WebSocket;
        let times = &self.options.upstream;
        let unroutable = || Error::explain(ErrorType::ConnectNoRoute, "no address").into_up();
        let Stage::Sent(pinned, sent) = &mut self.stage else { return Err(unroutable()) };
        let node = Arc::clone(&sent.chosen.as_ref().ok_or_else(unroutable)?.node);
        sent.at = Some(Instant::now());
        Ok(Target {
            pick: sent.tries_of(&node),
            is_fresh: sent.replayed || is_websocket,
            is_websocket,
            connect_timeout: times.connect_timeout_of(&node.backend),
            read_timeout: times.read_timeout_of(&pinned.domain.virtual_host),
            write_timeout: times.write_timeout,
            idle_timeout: times.idle_timeout,
            node,
        })
    }

    /// How long a connection that speaks another protocol may be silent, and how long one side of it may
    /// go on alone.
    pub(crate) fn tunnel_timeouts(&self) -> (Duration, Duration) {
        (self.options.websocket_idle_timeout, self.options.half_close_timeout)
    }
}
