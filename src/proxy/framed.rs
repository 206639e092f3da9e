//! A client's connection, of which Pingora sees one request at a time.
//!
//! Where a request ends is decided here, once. Pingora can't take a byte of the next one for this one's,
//! nor hold it, and what it gets of a chunked body was found to be one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunks::Chunks;
use super::client::Connection;
use super::gather::Gather;
use super::head::poll_read_some;
use super::strict::Body;

/// A connection of HTTP/1.
#[derive(Debug)]
pub(super) struct Framed {
    stream: Stream,
    connection: Arc<Connection>,
    /// What was read and belongs to no request yet.
    unread: BytesMut,
    left: Left,
    /// What was written of an answer and has not left.
    gather: Gather,
}

/// What is left to be read of a request.
#[derive(Debug)]
enum Left {
    Length(u64),
    Chunks(Chunks),
}

impl Framed {
    pub(super) fn new(stream: Stream, connection: Arc<Connection>) -> Self {
        let (unread, gather) = (BytesMut::new(), Gather::default());
        Self { stream, connection, unread, left: Left::Length(0), gather }
    }

    /// What was handed to Pingora as a stream.
    pub(super) fn of(stream: Stream) -> Option<Box<Self>> {
        stream.into_any().downcast().ok()
    }

    /// A request has begun whose head was read, and `unread` behind it.
    pub(super) fn begin(&mut self, body: Body, unread: BytesMut) {
        self.unread = unread;
        self.left = match body {
            Body::Length(length) => Left::Length(length),
            Body::Chunked => Left::Chunks(Chunks::new()),
        };
    }

    /// The request has ended: what came behind it. Nothing when it has not been read to its end, so
    /// that nobody knows what comes next.
    pub(super) fn end(&mut self) -> Option<BytesMut> {
        self.gather.rest();
        self.is_whole().then(|| std::mem::take(&mut self.unread))
    }

    /// What is below, for the next head.
    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn is_whole(&self) -> bool {
        matches!(self.left, Left::Length(0) | Left::Chunks(Chunks::Done))
    }

    /// Up to `most` bytes, those first that were read already.
    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
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

    /// Writes what was gathered.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gather.poll_drain(&mut *self.stream, cx)
    }

    /// Behind the request: only the end of the connection shows.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty()
            && ready!(poll_read_some(&mut *self.stream, cx, &mut self.unread))? == 0
        {
            return Poll::Ready(Ok(()));
        }
        // The next request has begun: it is nobody's before this one is answered.
        Poll::Pending
    }
}

impl AsyncRead for Framed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.connection.upgraded.load(Ordering::Relaxed) {
            return this.poll_some(cx, into, usize::MAX);
        }
        let start = into.filled().len();
        match &mut this.left {
            Left::Length(0) | Left::Chunks(Chunks::Done) => this.poll_end(cx),
            Left::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                ready!(this.poll_some(cx, into, most))?;
                let read = into.filled().len() - start;
                this.left = Left::Length(most as u64 - read as u64);
                Poll::Ready(Ok(()))
            }
            Left::Chunks(_) => {
                ready!(this.poll_some(cx, into, usize::MAX))?;
                let Left::Chunks(chunks) = &mut this.left else { return Poll::Ready(Ok(())) };
                let read = &into.filled()[start..];
                let own = chunks
                    .follow(read)
                    .map_err(|broken| io::Error::new(io::ErrorKind::InvalidData, broken))?;
                if own < read.len() {
                    let mut unread = BytesMut::from(&read[own..]);
                    unread.extend_from_slice(&this.unread);
                    this.unread = unread;
                    into.set_filled(start + own);
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Framed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.gather.poll_write(&mut *this.stream, cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.gather.poll_write_vectored(&mut *this.stream, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Framed {
    async fn shutdown(&mut self) {
        // Whoever doesn't take it is gone.
        let _ = poll_fn(|cx| self.poll_drain(cx)).await;
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl UniqueID for Framed {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Framed {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Framed {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Framed {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Framed {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

impl Peek for Framed {}
