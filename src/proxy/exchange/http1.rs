//! The client's end of a request over HTTP/1.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::Result;
use pingora::protocols::http::date::get_cached_date;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::answer::frame;
use super::downstream::{Received, Relayed, Take, drain, ends, send_whole};
use super::errors::{closed_within_body, short_answer, unread_body, unwritten_answer};
use super::fields::keeps;
use super::framing::{Framing, SizeLine, last_chunk, size_line};
use super::inbound::Inbound;
use super::replay::Replay;
use super::scratch;
use crate::heads::names::{CONNECTION, DATE};
use crate::heads::{RequestHead, ResponseHead};
use crate::link::{Outbox, Transport};
use crate::model::ProxyHeader;
use crate::proxy::client::connection::Connection;
use crate::proxy::client::downstream::{Downstream, tls_version};
use crate::proxy::wire::body::Incoming;
use crate::proxy::wire::clock::Clock;
use crate::proxy::wire::head::{Whole, poll_read_some};
use crate::proxy::wire::strict::Body;
use crate::telemetry::{AnswerKeeper, KeptHeaders, LoggedHeader};

/// How long what a client still sends is read behind an answer that closes the connection: one that is
/// closed over bytes that nobody has read is reset, and the client may never see the answer.
const LINGER: Duration = Duration::from_secs(5);

/// A client's connection of HTTP/1, and the request that runs on it.
pub(crate) struct Http1 {
    stream: Transport,
    connection: Arc<Connection>,
    request: RequestHead,
    inbound: Inbound,
    outbox: Outbox,
    framing: Framing,
    status: Option<StatusCode>,
    keeper: AnswerKeeper,
    is_ended: bool,
    keeps: bool,
    sent: u64,
    read_timeout: Duration,
    write_timeout: Duration,
    /// How long a client that has ended its side waits for an answer; zero: it is gone.
    half_close_timeout: Duration,
    half_closed: Option<Instant>,
    clock: Clock,
    /// How its body is delimited.
    body: Body,
}

impl Http1 {
    /// A request whose head was read.
    pub(crate) fn new(
        stream: Transport,
        clock: Clock,
        connection: Arc<Connection>,
        whole: Whole,
        half_close_timeout: Duration,
    ) -> Self {
        let Whole { head: request, rest, body } = whole;
        Self {
            stream,
            connection,
            keeps: keeps(request.version, &request.headers),
            request,
            inbound: Inbound::of(body, rest),
            outbox: Outbox::default(),
            framing: Framing::None,
            status: None,
            keeper: AnswerKeeper::default(),
            is_ended: false,
            sent: 0,
            read_timeout: Duration::MAX,
            write_timeout: Duration::MAX,
            half_close_timeout,
            half_closed: None,
            clock,
            body,
        }
    }

    /// Gives the request up to whoever carries it in our place. None of its body was read.
    pub(crate) fn into_parts(self) -> (Transport, Whole) {
        let whole = Whole { head: self.request, rest: self.inbound.unread, body: self.body };
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
        let forget = |_: &mut Context<'_>, bytes: &[u8]| bytes.len();
        loop {
            let read =
                poll_fn(|cx| scratch::poll_read(&mut self.stream, cx, scratch::SIZE, forget));
            if !matches!(read.await, Ok(1..)) {
                return;
            }
        }
    }
}

impl Downstream for Http1 {
    fn request(&self) -> &RequestHead {
        &self.request
    }

    fn request_mut(&mut self) -> &mut RequestHead {
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
        match &self.stream {
            Transport::Tcp(stream) => match (stream.peer_addr(), stream.local_addr()) {
                (Ok(client), Ok(server)) => ProxyHeader::Proxied { client, server },
                _ => ProxyHeader::Local,
            },
            Transport::Other(stream) => ends(stream.get_socket_digest().as_deref()),
            Transport::Unix(_) => ProxyHeader::Local,
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
            Some(replay) => replay.is_whole(),
            None => self.inbound.received == 0,
        }
    }

    fn keep_headers(&mut self, wanted: &Arc<[LoggedHeader]>) {
        self.keeper.keep(wanted);
    }

    fn kept_headers(&self, _: &[LoggedHeader]) -> Option<Arc<KeptHeaders>> {
        self.keeper.kept()
    }

    async fn answer(&mut self, head: ResponseHead, body: Option<Bytes>) -> Result<()> {
        send_whole(self, head, body).await
    }

    async fn drain(&mut self) {
        drain(self).await;
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
                return if inbound.incoming.end() { Ok(()) } else { Err(closed_within_body()) };
            }
            let own = inbound.take(cx, bytes, take)?;
            inbound.unread.extend_from_slice(&bytes[own..]);
            Ok(())
        }));
        Poll::Ready(read.map_err(unread_body).and_then(|read| read).map(|()| Received::Content))
    }

    fn rewind(&mut self) {
        if let Some(replay) = &mut self.inbound.replay {
            replay.rewind();
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

    fn begin(&mut self, head: &mut ResponseHead) -> Result<()> {
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
            if self.request.version != Version::HTTP_10 {
                self.status = Some(head.status);
                head.write(self.outbox.head());
            }
            return Ok(());
        }
        self.framing = frame(&self.request, head)?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.keeps = false;
        } else {
            if self.framing == Framing::UntilClose {
                self.keeps = false;
            }
            // The date of who made the answer holds (RFC 9110 §6.6.1): its age counts from there.
            if !head.headers.has(DATE) {
                head.headers.append(DATE, get_cached_date());
            }
            head.headers.insert(CONNECTION, if self.keeps { "keep-alive" } else { "close" });
        }
        self.status = Some(head.status);
        self.keeper.note(&head.headers);
        head.write(self.outbox.head());
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
        pushed.map_err(unwritten_answer)
    }

    fn end(&mut self, cx: &mut Context<'_>, trailers: Option<HeaderMap>) -> Result<()> {
        if !self.framing.is_kept() {
            return Err(short_answer());
        }
        self.is_ended = true;
        if self.framing != Framing::Chunked {
            return Ok(());
        }
        let last = last_chunk(trailers.as_ref());
        let pushed = self.outbox.push(&mut self.stream, cx, &[&last]);
        pushed.map_err(unwritten_answer)
    }

    fn is_ended(&self) -> bool {
        self.is_ended
    }

    fn held(&self) -> usize {
        self.outbox.len()
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<usize> {
        Poll::Ready(self.connection.budget.piece())
    }

    fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.outbox.poll_flush(&mut self.stream, cx).map_err(unwritten_answer)
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
