//! Where a request goes, and how long each step of it may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::{Error, ErrorType, Result};

use super::stages::{RequestContext, Stage};
use crate::proxy::decision::Kind;
use crate::proxy::host::times::UpstreamTimes;
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
    /// How long the backend may say nothing until its answer begins.
    pub(crate) first_byte_timeout: Duration,
    /// How long it may say nothing within its answer.
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
        let own = UpstreamTimes::of(pinned.domain.times(), times);
        Ok(Target {
            pick: sent.tries_of(&node),
            is_fresh: sent.replayed || is_websocket,
            is_websocket,
            connect_timeout: own.connect_to(&node),
            first_byte_timeout: own.first_byte,
            read_timeout: own.between_bytes,
            write_timeout: own.write,
            idle_timeout: times.idle_timeout,
            node,
        })
    }

    /// How long a backend may say nothing within its answer, where that differs from the time until it begins.
    pub(super) fn body_read_timeout(&self) -> Option<Duration> {
        if self.kind() == Kind::WebSocket {
            // It has one for both: its own.
            return None;
        }
        let times = UpstreamTimes::of(self.pinned()?.domain.times(), &self.options.upstream);
        (times.between_bytes != times.first_byte).then_some(times.between_bytes)
    }

    /// How long a connection that speaks another protocol may be silent, and how long one side of it may
    /// go on alone.
    pub(crate) fn tunnel_timeouts(&self) -> (Duration, Duration) {
        (self.websocket_idle_timeout(), self.options.half_close_timeout)
    }

    /// How long a WebSocket may be silent.
    pub(super) fn websocket_idle_timeout(&self) -> Duration {
        let own = self.pinned().and_then(|pinned| pinned.domain.times().websocket_idle);
        own.unwrap_or(self.options.websocket_idle_timeout)
    }
}
