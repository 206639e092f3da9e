//! Connections with backends that speak HTTP/1: what they run on, what was read and written of them, and
//! those that are kept for a further request.

mod kept;
mod outbox;
mod transport;

pub use kept::Kept;
pub use outbox::Outbox;
pub use transport::Transport;

use std::any::Any;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What lives as long as a client connection, and is that one's alone.
pub type Owner = Weak<dyn Any + Send + Sync>;

/// A connection with a backend.
#[derive(Debug)]
pub struct Link {
    pub transport: Transport,
    /// What was read, and belongs to no answer yet.
    pub unread: BytesMut,
    pub outbox: Outbox,
    /// The rules that it was made by: see `BackendNode::connection_group`.
    pub group: u64,
    /// The address that it was made to; none where that is a socket file.
    pub address: Option<SocketAddr>,
    /// The client connection that its PROXY header names, if it began with one: only that one's requests
    /// may use it.
    pub owner: Option<Owner>,
    /// Whether it has carried a request.
    pub is_used: bool,
    /// Since when it has been kept, and for how long it may be.
    rests: Option<(Instant, Duration)>,
}

impl Link {
    /// A connection that was just made.
    pub fn new(transport: Transport, group: u64, address: Option<SocketAddr>) -> Self {
        let (unread, outbox) = (BytesMut::new(), Outbox::default());
        let (owner, is_used, rests) = (None, false, None);
        Self { transport, unread, outbox, group, address, owner, is_used, rests }
    }

    /// Ends our side of the connection, once all that waits is written.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.outbox.poll_flush(&mut self.transport, cx).is_pending() {
            return Poll::Pending;
        }
        Pin::new(&mut self.transport).poll_shutdown(cx).map(|_| ())
    }

    /// It is kept from now on, and for so long.
    pub fn rest(&mut self, time: Duration, now: Instant) {
        self.unread = BytesMut::new();
        self.outbox = Outbox::default();
        self.is_used = true;
        self.rests = Some((now, time));
    }

    /// Whether it is this client connection's, or nobody's where there is no owner.
    pub fn belongs_to(&self, owner: Option<&Owner>) -> bool {
        match (&self.owner, owner) {
            (None, None) => true,
            (Some(own), Some(other)) => own.ptr_eq(other),
            _ => false,
        }
    }

    /// How long it has been kept.
    fn rested(&self, now: Instant) -> Duration {
        self.rests.map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(since))
    }

    /// Whether it can carry a request: it is not too old, and the backend has neither closed it nor said
    /// anything that nobody has asked for. Asks the kernel only where that has said that there is
    /// something to read.
    pub fn is_good(&mut self, now: Instant) -> bool {
        if self.owner.as_ref().is_some_and(|owner| owner.strong_count() == 0) {
            return false;
        }
        if self.rests.is_some_and(|(since, time)| now.saturating_duration_since(since) >= time) {
            return false;
        }
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        // Not a task's turn: a look must not wait for its next one.
        let read = tokio::task::coop::unconstrained(std::future::poll_fn(|cx| {
            Poll::Ready(Pin::new(&mut self.transport).poll_read(cx, &mut buffer).is_pending())
        }));
        let mut read = std::pin::pin!(read);
        matches!(read.as_mut().poll(&mut cx), Poll::Ready(true))
    }
}
