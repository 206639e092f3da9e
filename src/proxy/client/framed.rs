//! A client's connection, of which Pingora sees one request at a time.
//!
//! Where a request ends is decided here, once. Pingora can't take a byte of the next one for this one's,
//! nor hold it, and what it gets of a chunked body was found to be one.

use std::future::poll_fn;
use std::io::{self, Cursor, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, Shutdown, Stream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection::Connection;
use super::given_up::{Ending, Left, Parts};
use crate::proxy::wire::chunks::Chunks;
use crate::proxy::wire::gather::Gather;
use crate::proxy::wire::head::poll_read_some;
use crate::proxy::wire::strict::Body;
use crate::wrapped::{Polled, Wraps, pass_through, wraps};

/// A connection of HTTP/1.
#[derive(Debug)]
pub(crate) struct Framed {
    stream: Stream,
    connection: Arc<Connection>,
    /// What was read and belongs to no request yet.
    unread: BytesMut,
    left: Left,
    /// What was written of an answer and has not left.
    gather: Gather,
    /// How long a client that has ended its side waits for an answer; zero: it is gone.
    half_close_timeout: Duration,
    /// Runs from that end, or from what was written last since.
    half_closed: Option<Pin<Box<Sleep>>>,
}

impl Framed {
    pub(crate) fn new(stream: Stream, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            connection,
            unread: BytesMut::new(),
            left: Left::Length(0),
            gather: Gather::default(),
            half_close_timeout: Duration::ZERO,
            half_closed: None,
        }
    }

    /// What Pingora has dropped behind an answer.
    pub(crate) fn again(parts: Parts, connection: Arc<Connection>) -> Self {
        let mut framed = Self::new(parts.stream, connection);
        framed.unread = parts.unread;
        framed.left = parts.left;
        framed.gather = parts.gather;
        framed
    }

    /// What was handed to Pingora as a stream.
    pub(crate) fn of(stream: Stream) -> Option<Box<Self>> {
        stream.into_any().downcast().ok()
    }

    /// A request has begun whose head was read, and `unread` behind it.
    pub(crate) fn begin(&mut self, body: Body, unread: BytesMut, half_close_timeout: Duration) {
        self.unread = unread;
        self.half_close_timeout = half_close_timeout;
        self.half_closed = None;
        self.left = match body {
            Body::Length(length) => Left::Length(length),
            Body::Chunked => Left::Chunks(Chunks::new()),
        };
    }

    /// The request has ended: what came behind it. `None` when it has not been read to its end, so
    /// that nobody knows what comes next.
    pub(crate) fn end(&mut self) -> Option<BytesMut> {
        self.gather.rest();
        self.connection.given_up.take_answer();
        self.is_whole().then(|| std::mem::take(&mut self.unread))
    }

    /// Gives up what is below, between two requests.
    pub(crate) fn into_stream(mut self) -> Stream {
        std::mem::replace(&mut self.stream, Box::new(Cursor::new(Vec::new())))
    }

    /// What is below, for the next head.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn is_whole(&self) -> bool {
        match &self.left {
            Left::Length(left) => *left == 0,
            Left::Chunks(chunks) => chunks.is_done(),
        }
    }

    /// Up to `most` bytes, those first that were read already.
    fn poll_some(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>, most: usize) -> Polled {
        if self.unread.is_empty() {
            let mut part = ReadBuf::new(into.initialize_unfilled_to(most.min(into.remaining())));
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            into.advance(read);
        } else {
            let count = self.unread.len().min(most).min(into.remaining());
            into.put_slice(&self.unread[..count]);
            self.unread.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Behind the request: only the end of the connection shows, and for a while not even that. A
    /// client may end its side and still wait for its answer (RFC 9112 §9.6), and one that is gone looks
    /// the same until it is written to.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(half_closed) = &mut self.half_closed {
            return half_closed.as_mut().poll(cx).map(Ok);
        }
        if self.unread.is_empty()
            && ready!(poll_read_some(&mut *self.stream, cx, &mut self.unread))? == 0
        {
            let half_closed = Box::pin(sleep(self.half_close_timeout));
            return self.half_closed.insert(half_closed).as_mut().poll(cx).map(Ok);
        }
        // The next request has begun: it is nobody's before this one is answered.
        Poll::Pending
    }

    /// Reads on, for as long as the client sends, and forgets it; the answer has been sent.
    pub(crate) async fn linger(&mut self) {
        Shutdown::shutdown(self).await;
        loop {
            self.unread.clear();
            let read = poll_fn(|cx| poll_read_some(&mut *self.stream, cx, &mut self.unread)).await;
            if !matches!(read, Ok(1..)) {
                return;
            }
        }
    }
}

impl Drop for Framed {
    fn drop(&mut self) {
        let given_up = &self.connection.given_up;
        let ending = match given_up.take_answer() {
            Some(true) => Ending::Keep,
            Some(false) if !self.is_whole() => Ending::Linger,
            None if !self.gather.is_empty() => Ending::Flush,
            _ => return,
        };
        given_up.put(Parts {
            stream: std::mem::replace(&mut self.stream, Box::new(Cursor::new(Vec::new()))),
            unread: std::mem::take(&mut self.unread),
            left: std::mem::replace(&mut self.left, Left::Length(0)),
            gather: std::mem::take(&mut self.gather),
            ending,
        });
    }
}

impl Wraps for Framed {
    fn receive(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Polled {
        if self.connection.upgraded.load(Ordering::Relaxed) {
            return self.poll_some(cx, into, usize::MAX);
        }
        let start = into.filled().len();
        match &mut self.left {
            Left::Length(0) => self.poll_end(cx),
            Left::Chunks(chunks) if chunks.is_done() => self.poll_end(cx),
            Left::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                ready!(self.poll_some(cx, into, most))?;
                let read = into.filled().len() - start;
                self.left = Left::Length(most as u64 - read as u64);
                Poll::Ready(Ok(()))
            }
            Left::Chunks(_) => {
                ready!(self.poll_some(cx, into, usize::MAX))?;
                let Left::Chunks(chunks) = &mut self.left else { return Poll::Ready(Ok(())) };
                let read = &into.filled()[start..];
                let own = chunks
                    .follow(read)
                    .map_err(|broken| io::Error::new(io::ErrorKind::InvalidData, broken))?;
                if own < read.len() {
                    let mut unread = BytesMut::from(&read[own..]);
                    unread.extend_from_slice(&self.unread);
                    self.unread = unread;
                    into.set_filled(start + own);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Polled<usize> {
        self.half_closed = None;
        self.gather.poll_send(&mut *self.stream, cx, slices)
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Polled {
        self.gather.poll_drain(&mut *self.stream, cx)
    }
}

wraps!(Framed: Stream);
pass_through!(Framed);

impl GetProxyDigest for Framed {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}
