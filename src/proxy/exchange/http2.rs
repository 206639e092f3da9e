//! The client's end of a request over HTTP/2: one stream.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, StatusCode};
use pingora::Result;
use pingora::protocols::Digest;
use pingora::protocols::http::date::get_cached_date;

use super::answer::length_of;
use super::downstream::{Received, Relayed, Take, drain, ends, send_whole};
use super::errors::{reset_by_client, short_answer, unread_body, unwritten_answer};
use super::fields::{has_no_body, strip_answer};
use super::framing::Framing;
use super::replay::Replay;
use crate::heads::names::{DATE, SEC_WEBSOCKET_ACCEPT};
use crate::heads::{RequestHead, ResponseHead};
use crate::model::ProxyHeader;
use crate::proxy::carry::headers::strip_hop_by_hop;
use crate::proxy::client::downstream::{Downstream, tls_version};
use crate::proxy::memory::{Account, Budget};
use crate::proxy::wire::body::permitted_trailers;
use crate::proxy::wire::clock::Clock;
use crate::telemetry::{AnswerKeeper, KeptHeaders, LoggedHeader};

/// What a request may hold without being counted: an answer that leaves at once.
const UNCOUNTED: usize = 4 * 1024;

/// A stream of a client's connection of HTTP/2, and the request on it.
pub(crate) struct Http2 {
    pub(super) request: RequestHead,
    pub(super) body: RecvStream,
    pub(super) respond: SendResponse<Bytes>,
    pub(super) send: Option<SendStream<Bytes>>,
    pub(super) digest: Arc<Digest>,
    budget: Arc<Budget>,
    /// What h2 holds of the answer; none while that is little.
    account: Option<Arc<Account>>,
    /// Content that h2 has not taken.
    waiting: BytesMut,
    given: usize,
    is_full: bool,
    pub(super) ending: Ending,
    framing: Framing,
    pub(super) status: Option<StatusCode>,
    keeper: AnswerKeeper,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) read_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) replay: Option<Replay>,
    clock: Clock,
}

/// How an answer ends.
pub(super) enum Ending {
    NotYet,
    /// Once what waits was taken.
    Due(Option<HeaderMap>),
    Sent,
}

impl Http2 {
    /// A request whose head has come.
    pub(crate) fn new(
        request: RequestHead,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        digest: Arc<Digest>,
        budget: Arc<Budget>,
    ) -> Self {
        Self {
            request,
            body,
            respond,
            send: None,
            digest,
            budget,
            account: None,
            waiting: BytesMut::new(),
            given: 0,
            is_full: false,
            ending: Ending::NotYet,
            framing: Framing::None,
            status: None,
            keeper: AnswerKeeper::default(),
            received: 0,
            sent: 0,
            read_timeout: Duration::MAX,
            write_timeout: Duration::MAX,
            replay: None,
            clock: Clock::default(),
        }
    }

    /// Gives to h2 what it takes now. Nothing is left where it answers that it has all.
    fn poll_give(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
        while !self.waiting.is_empty() {
            send.reserve_capacity(self.waiting.len());
            let room = match poll_capacity(send, cx) {
                Poll::Ready(Some(Ok(room))) => room.min(self.waiting.len()),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(unwritten_answer(error))),
                Poll::Ready(None) => return Poll::Ready(Err(reset_by_client())),
                Poll::Pending => {
                    self.is_full = true;
                    return Poll::Pending;
                }
            };
            let piece = self.waiting.split_to(room).freeze();
            let is_last = self.waiting.is_empty() && matches!(self.ending, Ending::Due(None));
            let piece = counted(&mut self.account, &self.budget, &mut self.given, piece);
            send.send_data(piece, is_last).map_err(unwritten_answer)?;
            if is_last {
                self.ending = Ending::Sent;
            }
        }
        self.is_full = false;
        if let Ending::Due(trailers) = &mut self.ending {
            match trailers.take() {
                Some(trailers) => send.send_trailers(trailers).map_err(unwritten_answer)?,
                None => send.send_data(Bytes::new(), true).map_err(unwritten_answer)?,
            }
            self.ending = Ending::Sent;
        }
        Poll::Ready(Ok(()))
    }
}

/// How much h2 accepts now. It reports new capacity once, so what is left of it is asked for first.
pub(super) fn poll_capacity(
    send: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Option<std::result::Result<usize, h2::Error>>> {
    match send.capacity() {
        0 => send.poll_capacity(cx),
        room => Poll::Ready(Some(Ok(room))),
    }
}

/// Counts what h2 holds of an answer, beyond a little.
fn counted(
    account: &mut Option<Arc<Account>>,
    budget: &Arc<Budget>,
    given: &mut usize,
    piece: Bytes,
) -> Bytes {
    *given = given.saturating_add(piece.len());
    if *given <= UNCOUNTED {
        return piece;
    }
    account.get_or_insert_with(|| Account::open(Arc::clone(budget))).hold(piece)
}

impl Downstream for Http2 {
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
        self.body.is_end_stream()
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn keeps(&self) -> bool {
        true
    }

    /// Its connection ends by itself.
    fn close_after(&mut self) {}

    fn tls(&self) -> Option<&'static str> {
        self.digest.ssl_digest.as_deref().map(tls_version)
    }

    fn passes_trailers(&self) -> bool {
        true
    }

    fn ends(&self) -> ProxyHeader {
        ends(self.digest.socket_digest.as_deref())
    }

    fn set_timeouts(&mut self, read: Duration, write: Duration) {
        (self.read_timeout, self.write_timeout) = (read, write);
    }

    fn set_read_timeout(&mut self, read: Duration) {
        self.read_timeout = read;
    }

    fn can_replay(&self) -> bool {
        self.replay.as_ref().map_or(self.received == 0, Replay::is_whole)
    }

    fn keep_headers(&mut self, wanted: &Arc<[LoggedHeader]>) {
        self.keeper.keep(wanted);
    }

    fn kept_headers(&self, _: &[LoggedHeader]) -> Option<Arc<KeptHeaders>> {
        self.keeper.kept()
    }

    async fn answer(&mut self, mut head: ResponseHead, body: Option<Bytes>) -> Result<()> {
        match body {
            Some(body) => send_whole(self, head, Some(body)).await,
            // Its head ends it: clients of gRPC want that of an answer that is trailers alone.
            None => self.send_head(&mut head, true),
        }
    }

    async fn drain(&mut self) {
        drain(self).await;
    }

    async fn gone(&mut self) {
        poll_fn(|cx| self.poll_gone(cx)).await;
    }
}

impl Http2 {
    /// Gives the head of an answer to h2.
    pub(super) fn send_head(&mut self, head: &mut ResponseHead, is_end: bool) -> Result<()> {
        strip_answer(head);
        // The date of who made the answer holds (RFC 9110 §6.6.1): its age counts from there.
        if !head.headers.has(DATE) {
            head.headers.append(DATE, get_cached_date());
        }
        self.keeper.note(&head.headers);
        let sent = self.respond.send_response(head.take_http2(), is_end);
        (self.send, self.status) = (Some(sent.map_err(unwritten_answer)?), Some(head.status));
        if is_end {
            self.ending = Ending::Sent;
        }
        Ok(())
    }
}

impl Relayed for Http2 {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        _most: usize,
        take: Take<'_>,
    ) -> Poll<Result<Received>> {
        if let Some(replay) = &mut self.replay
            && replay.take(cx, take)
        {
            return Poll::Ready(Ok(Received::Content));
        }
        match ready!(self.body.poll_data(cx)) {
            Some(Ok(content)) => {
                self.received += content.len() as u64;
                if let Some(replay) = &mut self.replay {
                    replay.note(&content);
                }
                take(cx, &content);
                // What was read may come again: the backend takes no more than this at once.
                let _ = self.body.flow_control().release_capacity(content.len());
                Poll::Ready(Ok(Received::Content))
            }
            Some(Err(error)) => Poll::Ready(Err(unread_body(error))),
            None => {
                let trailers = ready!(self.body.poll_trailers(cx)).map_err(unread_body)?;
                Poll::Ready(Ok(Received::End(trailers.as_ref().and_then(permitted_trailers))))
            }
        }
    }

    fn rewind(&mut self) {
        if let Some(replay) = &mut self.replay {
            replay.rewind();
        }
    }

    fn keep_body(&mut self) {
        if self.replay.is_none() && self.received == 0 {
            self.replay = Some(Replay::default());
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.send {
            Some(send) => send.poll_reset(cx).map(|_| ()),
            None => self.respond.poll_reset(cx).map(|_| ()),
        }
    }

    fn gone_at(&self) -> Option<Instant> {
        None
    }

    fn begin(&mut self, head: &mut ResponseHead) -> Result<()> {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // RFC 8441 §5: the stream is the tunnel, and the handshake was the connection's.
            head.set_status(StatusCode::OK);
            strip_hop_by_hop(head);
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
            return self.send_head(head, false);
        }
        if head.status.is_informational() {
            strip_answer(head);
            self.status = Some(head.status);
            return self.respond.send_informational(head.take_http2()).map_err(unwritten_answer);
        }
        let has_no_body = has_no_body(&self.request.method, head.status);
        self.framing = match length_of(&head.headers) {
            _ if has_no_body => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        self.send_head(head, has_no_body)
    }

    fn send(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Result<()> {
        let content = self.framing.fit(content);
        if content.is_empty() {
            return Ok(());
        }
        self.sent += content.len() as u64;
        // What waits goes first; the last piece waits for the end, which it can carry.
        let _ = self.poll_give(cx)?;
        self.waiting.extend_from_slice(content);
        Ok(())
    }

    fn end(&mut self, cx: &mut Context<'_>, trailers: Option<HeaderMap>) -> Result<()> {
        if !self.framing.is_kept() {
            return Err(short_answer());
        }
        if matches!(self.ending, Ending::NotYet) {
            self.ending = Ending::Due(trailers);
        }
        let _ = self.poll_give(cx)?;
        Ok(())
    }

    fn is_ended(&self) -> bool {
        !matches!(self.ending, Ending::NotYet)
    }

    fn held(&self) -> usize {
        self.waiting.len()
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        match &self.account {
            Some(account) => account.poll_room(cx),
            None => Poll::Ready(self.budget.piece()),
        }
    }

    fn is_full(&self) -> bool {
        self.is_full
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_give(cx)
    }

    fn timeouts(&self) -> (Duration, Duration) {
        (self.read_timeout, self.write_timeout)
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        self.clock.poll(cx, deadline)
    }

    fn upgrade(&mut self) {
        self.framing = Framing::UntilClose;
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.ending, Ending::NotYet) {
            self.ending = Ending::Due(None);
        }
        self.poll_give(cx).map(|_| ())
    }
}
