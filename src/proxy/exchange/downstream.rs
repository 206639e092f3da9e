//! What a relay asks of the client's end of a request.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use pingora::Result;
use pingora::protocols::SocketDigest;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::time::timeout;

use super::errors::{Late, late};
use super::scratch;
use crate::heads::ResponseHead;
use crate::model::ProxyHeader;
use crate::proxy::client::downstream::{DRAIN_BODY, Downstream};

/// What came of a request's body.
#[derive(Debug)]
pub(crate) enum Received {
    Content,
    /// The body is whole, with these trailers behind it.
    End(Option<HeaderMap>),
}

/// Takes the content of a body as it comes.
pub(crate) type Take<'t> = &'t mut (dyn FnMut(&mut Context<'_>, &[u8]) + Send);

/// The client's end of a request that our own carrier has.
pub(crate) trait Relayed: Downstream {
    /// Reads more of the body, up to `most` bytes at once.
    ///
    /// # Errors
    /// When the client is gone, or sends what is no body.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: Take<'_>,
    ) -> Poll<Result<Received>>;

    /// Reads the body from its beginning once more, from what was kept of it.
    fn rewind(&mut self);

    /// From now on what is read of the body is kept, while it is small.
    fn keep_body(&mut self);

    /// Whether the client is gone. While it has only ended its side it may wait for its answer, up to
    /// the deadline that this says.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// When a client that has ended its side counts as gone.
    fn gone_at(&self) -> Option<Instant>;

    /// Writes the head of an answer, or of an interim one. It leaves with what comes behind it.
    ///
    /// # Errors
    /// When it can't be written.
    fn begin(&mut self, head: &mut ResponseHead) -> Result<()>;

    /// Writes content of the answer's body. What does not leave is held.
    ///
    /// # Errors
    /// When the client is gone.
    fn send(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Result<()>;

    /// Ends the answer.
    ///
    /// # Errors
    /// When the client is gone, or was promised more.
    fn end(&mut self, cx: &mut Context<'_>, trailers: Option<HeaderMap>) -> Result<()>;

    /// Whether the answer was ended.
    fn is_ended(&self) -> bool;

    /// Bytes of the answer that are held.
    fn held(&self) -> usize;

    /// How many bytes of an answer may be read for it now; where none may, `cx` is woken when that has
    /// changed.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize>;

    /// Whether the client takes no more for now.
    fn is_full(&self) -> bool;

    /// Writes all that is held.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// How long the client may say nothing within its body, and take nothing of an answer.
    fn timeouts(&self) -> (Duration, Duration);

    /// Whether the deadline has passed; else `cx` is woken when it does.
    fn poll_clock(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool;

    /// From now on what comes and goes is another protocol's, up to the end of each side.
    fn upgrade(&mut self);

    /// Ends our side of a connection that speaks another protocol.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Sends an answer whole.
///
/// # Errors
/// When the client takes no answer any more.
pub(super) async fn send_whole<C: Relayed>(
    client: &mut C,
    mut head: ResponseHead,
    body: Option<Bytes>,
) -> Result<()> {
    client.begin(&mut head)?;
    let (_, limit) = client.timeouts();
    let sending = poll_fn(|cx| {
        if !client.is_ended() {
            client.send(cx, body.as_deref().unwrap_or_default())?;
            client.end(cx, None)?;
        }
        client.poll_flush(cx)
    });
    timeout(limit, sending).await.unwrap_or_else(|_| Err(late(Late::ClientTakes)))
}

/// Reads the rest of a body, and forgets it.
pub(super) async fn drain<C: Relayed>(client: &mut C) {
    let mut forget = |_: &mut Context<'_>, _: &[u8]| {};
    let draining = async {
        while !client.is_body_read() {
            let read = poll_fn(|cx| client.poll_receive(cx, scratch::SIZE, &mut forget));
            if read.await.is_err() {
                return;
            }
        }
    };
    let _ = timeout(DRAIN_BODY, draining).await;
}

/// Whose connection this is.
pub(super) fn ends(digest: Option<&SocketDigest>) -> ProxyHeader {
    let address = |of: fn(&SocketDigest) -> Option<&PeerAddr>| {
        digest.and_then(of).and_then(PeerAddr::as_inet).copied()
    };
    match (address(SocketDigest::peer_addr), address(SocketDigest::local_addr)) {
        (Some(client), Some(server)) => ProxyHeader::Proxied { client, server },
        _ => ProxyHeader::Local,
    }
}
