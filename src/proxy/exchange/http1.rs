//! The client's end of a request over HTTP/1.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::date::get_cached_date;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::clock::Clock;
use super::downstream::{Received, Relayed, Take};
use super::fields::{has_no_body, keeps};
use super::framing::{Framing, SizeLine, last_chunk, size_line};
use super::request::parse;
use super::scratch;
use crate::link::{Outbox, Transport};
use crate::model::ProxyHeader;
use crate::proxy::client::connection::Connection;
use crate::proxy::client::downstream::{DRAIN_BODY, Downstream, tls_version};
use crate::proxy::wire::body::Incoming;
use crate::proxy::wire::head::{Whole, poll_read_some};
use crate::proxy::wire::strict::Body;

/// What is kept of a body so that it can be sent once more.
const MAX_KEPT: usize = 64 * 1024;

/// How long what a client still sends is read behind an answer that closes the connection: one that is
/// closed over bytes that nobody has read is reset, and the client may never see the answer.
const LINGER: Duration = Duration::from_secs(5);

/// A client's connection of HTTP/1, and the request that runs on it.
pub(crate) struct Http1 {
    stream: Transport,
    connection: Arc<Connection>,
    request: RequestHeader,
    inbound: Inbound,
    outbox: Outbox,
    framing: Framing,
    status: Option<StatusCode>,
    is_ended: bool,
    keeps: bool,
    sent: u64,
    read_timeout: Duration,
    write_timeout: Duration,
    /// How long a client that has ended its side waits for an answer; zero: it is gone.
    half_close_timeout: Duration,
    half_closed: Option<Instant>,
    clock: Clock,
    /// Its head as it came, how its body is delimited, and its measures.
    came: (Bytes, Body, (usize, usize)),
}

/// The body of a request, as it comes.
struct Inbound {
    incoming: Incoming,
    /// What was read and belongs to no request yet.
    unread: BytesMut,
    received: u64,
    replay: Option<Replay>,
}

/// What was read of a body.
#[derive(Default)]
struct Replay {
    body: BytesMut,
    /// How much of it was given once more.
    at: usize,
    is_truncated: bool,
}

impl Http1 {
    /// A request whose head was read.
    ///
    /// # Errors
    /// When its head can't be understood.
    pub(crate) fn new(
        stream: Transport,
        clock: Clock,
        connection: Arc<Connection>,
        whole: Whole,
        half_close_timeout: Duration,
    ) -> std::result::Result<Self, Transport> {
        let Whole { head, rest, body, measures } = whole;
        let head = head.freeze();
        let Ok(request) = parse(&head) else { return Err(stream) };
        let mut client = Self {
            stream,
            connection,
            keeps: false,
            request,
            inbound: Inbound::of(body, rest),
            outbox: Outbox::default(),
            framing: Framing::None,
            status: None,
            is_ended: false,
            sent: 0,
            read_timeout: Duration::MAX,
            write_timeout: Duration::MAX,
            half_close_timeout,
            half_closed: None,
            clock,
            came: (head, body, measures),
        };
        client.keeps = keeps(client.request.version, &client.request.headers);
        Ok(client)
    }

    /// Gives the request up to whoever carries it in our place. None of its body was read.
    pub(crate) fn into_parts(self) -> (Transport, Whole) {
        let (head, body, measures) = self.came;
        let whole = Whole { head: head.into(), rest: self.inbound.unread, measures, body };
        (self.stream, whole)
    }

    /// The request has ended: its connection, and what came behind it, where it carries a further one.
    ///
    /// # Errors
    /// When it carries none.
    pub(crate) fn finish(self) -> std::result::Result<(Transport, Clock, BytesMut), Box<Self>> {
        if self.is_ended && self.keeps && self.inbound.incoming.is_whole() {
            Ok((self.stream, self.clock, self.inbound.unread))
        } else {
            Err(Box::new(self))
        }
    }

    /// Ends a connection that carries no further request, so that its client gets what was sent. `busy`
    /// keeps the server from stopping meanwhile.
    pub(crate) async fn close<B>(mut self, write_timeout: Duration, busy: B) {
        let flushing = poll_fn(|cx| self.outbox.poll_flush(&mut self.stream, cx));
        let flushed = pingora::time::timeout(write_timeout, flushing).await;
        drop(busy);
        if !self.is_ended || !matches!(flushed, Ok(Ok(()))) {
            // The end of what was broken off must not look like one.
            return;
        }
        let ending = async {
            let _ = self.stream.shutdown().await;
            if !self.inbound.incoming.is_whole() || self.request.method == Method::CONNECT {
                self.forget_rest().await;
            }
        };
        let _ = pingora::time::timeout(LINGER, ending).await;
    }

    /// Reads on, for as long as the client sends, and forgets it.
    async fn forget_rest(&mut self) {
        let mut forget = |_: &mut Context<'_>, bytes: &[u8]| bytes.len();
        loop {
            let read =
                poll_fn(|cx| scratch::poll_read(&mut self.stream, cx, scratch::SIZE, &mut forget));
            if !matches!(read.await, Ok(1..)) {
                return;
            }
        }
    }

    /// The head of an answer, as it is written.
    fn write_head(&mut self, head: &ResponseHeader) {
        let mut text = BytesMut::with_capacity(512);
        let version: &[u8] =
            if head.version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
        text.extend_from_slice(version);
        text.extend_from_slice(head.status.as_str().as_bytes());
        text.extend_from_slice(b" ");
        text.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
        text.extend_from_slice(b"\r\n");
        head.header_to_h1_wire(&mut text);
        text.extend_from_slice(b"\r\n");
        self.outbox.put(&text);
    }

    fn address(
        &self,
        of: impl Fn(&pingora::protocols::SocketDigest) -> Option<&PeerAddr>,
    ) -> Option<SocketAddr> {
        let Transport::Other(stream) = &self.stream else { return None };
        let digest = stream.get_socket_digest()?;
        of(&digest).and_then(PeerAddr::as_inet).copied()
    }
}

impl Inbound {
    fn of(body: Body, unread: BytesMut) -> Self {
        let incoming = match body {
            Body::Length(length) => Incoming::Length(length),
            Body::Chunked => Incoming::chunked(),
        };
        Self { incoming, unread, received: 0, replay: None }
    }

    /// Gives on what of `bytes` is content; how many are the body's.
    fn take(&mut self, cx: &mut Context<'_>, bytes: &[u8], take: Take<'_>) -> Result<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let (own, content) = self.incoming.take(&bytes[at..]).map_err(|broken| {
                let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, broken);
                Error::because(ErrorType::ReadError, "reading body", cause).into_down()
            })?;
            if own == 0 {
                break;
            }
            at += own;
            if !content.is_empty() {
                self.received += content.len() as u64;
                if let Some(replay) = &mut self.replay {
                    replay.note(content);
                }
                take(cx, content);
            }
        }
        Ok(at)
    }

    /// Gives on what was read before; whether there was any.
    fn take_unread(&mut self, cx: &mut Context<'_>, take: Take<'_>) -> Result<bool> {
        if self.unread.is_empty() {
            return Ok(false);
        }
        let unread = std::mem::take(&mut self.unread);
        let own = self.take(cx, &unread, take)?;
        self.unread = unread;
        self.unread.advance(own);
        Ok(true)
    }

    /// Gives on what was kept of the body where it is read once more; whether there was any.
    fn take_again(&mut self, cx: &mut Context<'_>, take: Take<'_>) -> bool {
        match &mut self.replay {
            Some(replay) if replay.at < replay.body.len() => {
                take(cx, &replay.body[replay.at..]);
                replay.at = replay.body.len();
                true
            }
            _ => false,
        }
    }
}

impl Replay {
    fn note(&mut self, content: &[u8]) {
        if self.is_truncated || self.body.len() + content.len() > MAX_KEPT {
            self.is_truncated = true;
            self.body = BytesMut::new();
        } else {
            self.body.extend_from_slice(content);
            self.at = self.body.len();
        }
    }
}

impl Downstream for Http1 {
    fn request(&self) -> &RequestHeader {
        &self.request
    }

    fn request_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    fn status(&self) -> Option<StatusCode> {
        self.status
    }

    fn is_body_read(&mut self) -> bool {
        self.inbound.incoming.is_whole()
    }

    fn received(&self) -> u64 {
        self.inbound.received
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn keeps(&self) -> bool {
        self.keeps
    }

    fn close_after(&mut self) {
        self.keeps = false;
    }

    fn tls(&self) -> Option<&'static str> {
        let Transport::Other(stream) = &self.stream else { return None };
        self.connection.tls.as_ref()?;
        stream.get_ssl_digest().as_deref().map(tls_version)
    }

    fn passes_trailers(&self) -> bool {
        self.request.version != Version::HTTP_10
    }

    fn ends(&self) -> ProxyHeader {
        let client = self.address(|digest| digest.peer_addr());
        let server = self.address(|digest| digest.local_addr());
        match (client, server) {
            (Some(client), Some(server)) => ProxyHeader::Proxied { client, server },
            _ => ProxyHeader::Local,
        }
    }

    fn set_timeouts(&mut self, read: Duration, write: Duration) {
        (self.read_timeout, self.write_timeout) = (read, write);
    }

    fn set_read_timeout(&mut self, read: Duration) {
        self.read_timeout = read;
    }

    fn can_replay(&self) -> bool {
        match &self.inbound.replay {
            Some(replay) => !replay.is_truncated,
            None => self.inbound.received == 0,
        }
    }

    async fn answer(&mut self, mut head: ResponseHeader, body: Option<Bytes>) -> Result<()> {
        self.begin(&mut head)?;
        let timeout = self.write_timeout;
        let sending = poll_fn(|cx| {
            if let Some(body) = &body
                && !self.is_ended
            {
                self.send(cx, body)?;
            }
            if !self.is_ended {
                self.end(cx, None)?;
            }
            self.poll_flush(cx)
        });
        match pingora::time::timeout(timeout, sending).await {
            Ok(sent) => sent,
            Err(_) => {
                Err(Error::explain(ErrorType::WriteTimedout, "sending an answer").into_down())
            }
        }
    }

    async fn drain(&mut self) {
        let mut forget = |_: &mut Context<'_>, _: &[u8]| {};
        let draining = async {
            while !self.inbound.incoming.is_whole() {
                let read = poll_fn(|cx| self.poll_receive(cx, scratch::SIZE, &mut forget));
                if read.await.is_err() {
                    return;
                }
            }
        };
        let _ = pingora::time::timeout(DRAIN_BODY, draining).await;
    }

    async fn gone(&mut self) {
        poll_fn(|cx| {
            if self.poll_gone(cx).is_ready() {
                return Poll::Ready(());
            }
            match self.gone_at() {
                Some(at) if self.clock.poll(cx, at) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

impl Relayed for Http1 {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: Take<'_>,
    ) -> Poll<Result<Received>> {
        if self.inbound.take_again(cx, take) {
            return Poll::Ready(Ok(Received::Content));
        }
        if self.inbound.incoming.is_whole() {
            return Poll::Ready(Ok(Received::End(self.inbound.incoming.trailers())));
        }
        if self.inbound.take_unread(cx, take)? {
            return Poll::Ready(Ok(Received::Content));
        }
        let Self { stream, inbound, .. } = self;
        let read = ready!(scratch::poll_read(stream, cx, most, |cx, bytes| {
            if bytes.is_empty() {
                return if inbound.incoming.end() { Ok(()) } else { Err(closed()) };
            }
            let own = inbound.take(cx, bytes, take)?;
            inbound.unread.extend_from_slice(&bytes[own..]);
            Ok(())
        }));
        let read = read.map_err(|error| {
            Error::because(ErrorType::ReadError, "reading body", error).into_down()
        });
        Poll::Ready(read.and_then(|read| read).map(|()| Received::Content))
    }

    fn rewind(&mut self) {
        if let Some(replay) = &mut self.inbound.replay {
            replay.at = 0;
        }
    }

    fn keep_body(&mut self) {
        if self.inbound.replay.is_none() && self.inbound.received == 0 {
            self.inbound.replay = Some(Replay::default());
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.half_closed.is_some() || !self.inbound.unread.is_empty() {
            // The next request is nobody's before this one is answered.
            return Poll::Pending;
        }
        match ready!(poll_read_some(&mut self.stream, cx, &mut self.inbound.unread)) {
            Err(_) => Poll::Ready(()),
            Ok(0) if self.half_close_timeout.is_zero() => Poll::Ready(()),
            Ok(0) => {
                self.half_closed = Some(Instant::now());
                Poll::Pending
            }
            Ok(_) => Poll::Pending,
        }
    }

    fn gone_at(&self) -> Option<Instant> {
        self.half_closed?.checked_add(self.half_close_timeout)
    }

    fn begin(&mut self, head: &mut ResponseHeader) -> Result<()> {
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
            if self.request.version != Version::HTTP_10 {
                self.status = Some(head.status);
                self.write_head(head);
            }
            return Ok(());
        }
        self.framing = self.frame(head)?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.keeps = false;
        } else {
            if self.framing == Framing::UntilClose {
                self.keeps = false;
            }
            // The date of who made the answer holds (RFC 9110 §6.6.1): its age counts from there.
            if !head.headers.contains_key(header::DATE) {
                head.insert_header(header::DATE, get_cached_date())?;
            }
            let connection = if self.keeps { "keep-alive" } else { "close" };
            head.insert_header(header::CONNECTION, connection)?;
        }
        self.status = Some(head.status);
        self.write_head(head);
        Ok(())
    }

    fn send(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Result<()> {
        let content = self.framing.fit(content);
        if content.is_empty() {
            return Ok(());
        }
        self.sent += content.len() as u64;
        let mut line = SizeLine::default();
        let pushed = if self.framing == Framing::Chunked {
            let slices = [size_line(&mut line, content.len()), content, b"\r\n"];
            self.outbox.push(&mut self.stream, cx, &slices)
        } else {
            self.outbox.push(&mut self.stream, cx, &[content])
        };
        if self.half_closed.is_some() {
            self.half_closed = Some(Instant::now());
        }
        pushed.map_err(|error| gone(&error))
    }

    fn end(&mut self, cx: &mut Context<'_>, trailers: Option<HeaderMap>) -> Result<()> {
        if !self.framing.is_kept() {
            let error =
                Error::explain(ErrorType::ConnectionClosed, "the answer is shorter than it says");
            return Err(error.into_up());
        }
        self.is_ended = true;
        if self.framing != Framing::Chunked {
            return Ok(());
        }
        let last = last_chunk(trailers.as_ref());
        let pushed = self.outbox.push(&mut self.stream, cx, &[&last]);
        pushed.map_err(|error| gone(&error))
    }

    fn is_ended(&self) -> bool {
        self.is_ended
    }

    fn held(&self) -> usize {
        self.outbox.len()
    }

    fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.outbox.poll_flush(&mut self.stream, cx).map_err(|error| gone(&error))
    }

    fn timeouts(&self) -> (Duration, Duration) {
        (self.read_timeout, self.write_timeout)
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        self.clock.poll(cx, deadline)
    }

    fn upgrade(&mut self) {
        self.inbound.incoming = Incoming::UntilClose;
        self.framing = Framing::UntilClose;
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map(|_| ())
    }
}

impl Http1 {
    /// How the body behind this head is delimited, which it then says.
    fn frame(&self, head: &mut ResponseHeader) -> Result<Framing> {
        if has_no_body(&self.request.method, head) {
            return Ok(Framing::None);
        }
        if let Some(length) = head.headers.get(header::CONTENT_LENGTH) {
            let length = length.to_str().ok().and_then(|length| length.parse().ok());
            let length = length
                .ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "Content-Length"))?;
            head.remove_header(&header::TRANSFER_ENCODING);
            return Ok(Framing::Length(length));
        }
        // It can't read chunks (RFC 9112 §6.1).
        if self.request.version == Version::HTTP_10 {
            head.remove_header(&header::TRANSFER_ENCODING);
            return Ok(Framing::UntilClose);
        }
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        Ok(Framing::Chunked)
    }
}

fn closed() -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, "within its body").into_down()
}

fn gone(error: &std::io::Error) -> Box<Error> {
    let cause = std::io::Error::new(error.kind(), error.to_string());
    Error::because(ErrorType::WriteError, "writing an answer", cause).into_down()
}
