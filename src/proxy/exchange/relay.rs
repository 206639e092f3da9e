//! A request and its answer on their way between a client and a backend, both directions side by side.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::heads::ResponseHead;
use http::HeaderMap;
use pingora::{Error, Result};

use super::answer;
use super::downstream::{Received, Relayed};
use super::errors::{
    Late, cut_short, late, malformed_answer, no_answer, unread_answer, unsent_request,
};
use super::framing::{SizeLine, last_chunk, size_line};
use super::held::Held;
use super::request::Body;
use super::scratch;
use crate::link::Link;
use crate::proxy::carry::leaving::Leaving;
use crate::proxy::carry::stages::RequestContext;
use crate::proxy::carry::target::Target;
use crate::proxy::host::compression::Encode;
use crate::proxy::wire::body::Incoming;
use crate::proxy::wire::head::poll_read_some;

/// How far a request's body has come.
#[derive(Debug)]
pub(super) enum Upload {
    Flows(Body),
    Whole,
    /// The backend takes no more of it. What it has answered is still read.
    Broken(Option<Box<Error>>),
}

/// A request and its answer on their way.
pub(super) struct Relay<'r, C> {
    pub(super) client: &'r mut C,
    pub(super) link: &'r mut Link,
    pub(super) ctx: &'r mut RequestContext,
    held: Held,
    pub(super) upload: Upload,
    /// What is still to come of the answer's body.
    pub(super) answer: Incoming,
    encode: Option<Box<Encode>>,
    /// When something last went from the client to the backend.
    pub(super) asked: Instant,
    /// When something last went from the backend to the client.
    pub(super) answered: Instant,
    /// Whether bytes of a head are waited for, and not the rest of what has begun.
    awaits_head: bool,
    first_byte_timeout: Duration,
    read_timeout: Duration,
    write_timeout: Duration,
    /// When an answer that has no end of its own is ended.
    pub(super) leaving: Option<Box<Leaving>>,
}

impl<'r, C: Relayed> Relay<'r, C> {
    /// Begins to send a request whose head waits in the link.
    pub(super) fn begin(
        client: &'r mut C,
        link: &'r mut Link,
        ctx: &'r mut RequestContext,
        body: Body,
        target: &Target,
    ) -> Self {
        let now = Instant::now();
        Self {
            held: Held::begin(ctx.budget()),
            client,
            link,
            ctx,
            upload: if body == Body::None { Upload::Whole } else { Upload::Flows(body) },
            answer: Incoming::none(),
            encode: None,
            asked: now,
            answered: now,
            awaits_head: true,
            first_byte_timeout: target.first_byte_timeout,
            read_timeout: target.read_timeout,
            write_timeout: target.write_timeout,
            leaving: None,
        }
    }

    /// The next head of an answer, while the request's body goes on.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead>> {
        self.poll_upload(cx)?;
        loop {
            if let Some(head) = answer::take(&mut self.link.unread)? {
                self.answered = Instant::now();
                // There may be another one behind it.
                self.awaits_head = self.link.unread.is_empty();
                return Poll::Ready(Ok(head));
            }
            let Link { transport, unread, .. } = &mut *self.link;
            let has_begun = !unread.is_empty();
            let read = match poll_read_some(transport, cx, unread) {
                Poll::Ready(read) => read,
                Poll::Pending => break,
            };
            match read {
                Ok(0) => return Poll::Ready(Err(no_answer(self.take_broken(), None, has_begun))),
                Ok(_) => (self.answered, self.awaits_head) = (Instant::now(), false),
                Err(error) => {
                    return Poll::Ready(Err(no_answer(self.take_broken(), Some(error), has_begun)));
                }
            }
        }
        self.poll_waits(cx, false)
    }

    /// Sends an interim answer on: nobody knows when the next one comes.
    pub(super) fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_upload(cx)?;
        self.poll_taken(cx)
    }

    /// The answer that has this body behind its head begins.
    pub(super) fn begin_answer(&mut self, body: Incoming, encode: Option<Box<Encode>>) {
        (self.answer, self.encode) = (body, encode);
        self.awaits_head = false;
    }

    /// The body of the answer, to its end.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_upload(cx)?;
        loop {
            if self.client.is_full() {
                ready!(self.poll_taken(cx))?;
            }
            if self.answer.is_whole() {
                return self.poll_end(cx);
            }
            if !self.link.unread.is_empty() {
                let unread = std::mem::take(&mut self.link.unread);
                let own = self.pass(cx, &unread)?;
                self.link.unread.extend_from_slice(&unread[own..]);
                continue;
            }
            match self.poll_piece(cx)? {
                Poll::Ready(()) => self.answered = Instant::now(),
                Poll::Pending => break,
            }
        }
        if self.poll_left(cx) {
            // Nothing of it comes any more.
            self.answer = Incoming::Ended;
            return self.poll_end(cx);
        }
        // What has come so far need not wait for the rest.
        self.poll_flush(cx)?;
        let has_room = self.client.poll_room(cx).is_ready();
        self.poll_waits(cx, self.client.is_full() || !has_room)
    }

    /// Whether the answer is ended because what it runs on was left.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> bool {
        let ends_at = self.leaving.as_mut().and_then(|leaving| leaving.ends_at(cx));
        ends_at.is_some_and(|at| self.client.poll_clock(cx, at))
    }

    /// Reads the next piece of the answer's body, and passes it on.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>> {
        let Poll::Ready(most) = self.client.poll_room(cx) else { return Ok(Poll::Pending) };
        let Self { client, link, answer, encode, .. } = self;
        let Link { transport, unread, .. } = &mut **link;
        let read = scratch::poll_read(transport, cx, most, |cx, bytes| {
            if bytes.is_empty() {
                return if answer.end() { Ok(()) } else { Err(cut_short()) };
            }
            let own = pass(*client, answer, encode.as_deref_mut(), cx, bytes)?;
            unread.extend_from_slice(&bytes[own..]);
            Ok(())
        });
        match read {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(passed)) => passed.map(Poll::Ready),
            Poll::Ready(Err(error)) => Err(unread_answer(error)),
        }
    }

    pub(super) fn pass(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<usize> {
        pass(self.client, &mut self.answer, self.encode.as_deref_mut(), cx, bytes)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(mut encode) = self.encode.take() {
            let rest = encode.pass(&[], true)?;
            self.client.send(cx, &rest)?;
        }
        if !self.client.is_ended() {
            let trailers = self.answer.trailers();
            let trailers = trailers.and_then(|trailers| self.ctx.answer_trailers(trailers));
            self.client.end(cx, trailers)?;
        }
        self.poll_taken(cx)
    }

    /// Writes what the client has not taken.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.poll_flush(cx)? { Poll::Ready(Ok(())) } else { self.poll_waits(cx, true) }
    }

    /// The same; whether all of it has gone.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let has_waited = self.client.is_full();
        let is_taken = self.client.poll_flush(cx)?.is_ready();
        // Not for less than all of it: a client that takes a byte now and then would never be late.
        if is_taken && has_waited {
            self.answered = Instant::now();
        }
        self.held.of_answer(self.client.held());
        Ok(is_taken)
    }

    /// Whether the connection with the backend can carry a further request, now that the answer has
    /// ended.
    pub(super) fn is_link_clean(&self) -> bool {
        matches!(self.upload, Upload::Whole)
            && self.link.outbox.is_empty()
            && self.link.unread.is_empty()
            && !matches!(self.answer, Incoming::Ended)
    }

    /// Sends what there is of the request.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while let Upload::Flows(body) = self.upload {
            if self.link.outbox.is_full() && !self.poll_sent(cx) {
                return Ok(());
            }
            let before = self.client.received();
            let most = self.held.piece();
            let (link, mut pushed) = (&mut *self.link, Ok(()));
            let received = self.client.poll_receive(cx, most, &mut |cx, content| {
                if pushed.is_ok() {
                    pushed = push(link, body, cx, content);
                }
            });
            let Poll::Ready(received) = received else { break };
            let received = received?;
            let trailers = match received {
                Received::Content => None,
                Received::End(trailers) => Some(trailers),
            };
            let piece = usize::try_from(self.client.received() - before).unwrap_or(usize::MAX);
            self.ctx.measure_body(piece, trailers.is_some())?;
            self.asked = Instant::now();
            if let Err(error) = pushed {
                self.break_off(error);
            } else if let Some(trailers) = trailers {
                self.end_upload(cx, body, trailers);
            }
        }
        self.poll_sent(cx);
        Ok(())
    }

    fn end_upload(&mut self, cx: &mut Context<'_>, body: Body, trailers: Option<HeaderMap>) {
        self.upload = Upload::Whole;
        if body == Body::Chunked {
            let trailers = trailers.and_then(|trailers| self.ctx.request_trailers(trailers));
            let Link { transport, outbox, .. } = &mut *self.link;
            if let Err(error) = outbox.push(transport, cx, &[&last_chunk(trailers.as_ref())]) {
                self.break_off(error);
            }
        }
    }

    /// Writes what waits for the backend; whether it has all of it.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.upload, Upload::Broken(_)) {
            return false;
        }
        let Link { transport, outbox, .. } = &mut *self.link;
        let has_waited = outbox.is_full();
        let flushed = outbox.poll_flush(transport, cx);
        self.held.of_request(outbox.len());
        match flushed {
            Poll::Ready(Ok(())) => {
                if has_waited {
                    self.asked = Instant::now();
                }
                return true;
            }
            Poll::Ready(Err(error)) => self.break_off(error),
            Poll::Pending => {}
        }
        false
    }

    /// Why the request can't be sent, once.
    fn take_broken(&mut self) -> Option<Box<Error>> {
        match &mut self.upload {
            Upload::Broken(error) => error.take(),
            _ => None,
        }
    }

    fn break_off(&mut self, error: io::Error) {
        self.upload = Upload::Broken(Some(unsent_request(error)));
        self.held.of_request(0);
    }

    /// Waits, for the client to take its answer or for the backend to go on; an error when that has
    /// lasted too long.
    fn poll_waits<T>(&mut self, cx: &mut Context<'_>, is_for_client: bool) -> Poll<Result<T>> {
        let is_up_whole = matches!(self.upload, Upload::Whole);
        if is_up_whole && self.client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(late(Late::ClientGone)));
        }
        let (client_says, client_takes) = self.client.timeouts();
        let mut first: Option<(Instant, Late)> = None;
        let mut until = |at: Option<Instant>, who: Late| {
            if let Some(at) = at
                && first.is_none_or(|(first, _)| at < first)
            {
                first = Some((at, who));
            }
        };
        if is_for_client {
            until(self.answered.checked_add(client_takes), Late::ClientTakes);
        } else {
            // It may say nothing while it reads.
            let silent = self.asked.max(self.answered);
            let limit = if self.awaits_head { self.first_byte_timeout } else { self.read_timeout };
            until(silent.checked_add(limit), Late::BackendSays);
        }
        if !self.link.outbox.is_empty() && !matches!(self.upload, Upload::Broken(_)) {
            until(self.asked.checked_add(self.write_timeout), Late::BackendTakes);
        } else if matches!(self.upload, Upload::Flows(_)) {
            until(self.asked.checked_add(client_says), Late::ClientSays);
        }
        until(self.client.gone_at(), Late::ClientGone);
        match first {
            Some((at, who)) if self.client.poll_clock(cx, at) => Poll::Ready(Err(late(who))),
            _ => Poll::Pending,
        }
    }
}

/// Passes bytes of an answer on; how many are its body's.
fn pass<C: Relayed>(
    client: &mut C,
    answer: &mut Incoming,
    mut encode: Option<&mut Encode>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Result<usize> {
    let mut at = 0;
    while at < bytes.len() {
        let (own, content) =
            answer.take(&bytes[at..]).map_err(|broken| malformed_answer(&broken))?;
        if own == 0 {
            break;
        }
        at += own;
        if content.is_empty() {
            continue;
        }
        if let Some(encode) = &mut encode {
            let encoded = encode.pass(content, false)?;
            client.send(cx, &encoded)?;
        } else {
            client.send(cx, content)?;
        }
    }
    Ok(at)
}

/// Sends a piece of a request's body.
fn push(link: &mut Link, body: Body, cx: &mut Context<'_>, content: &[u8]) -> io::Result<()> {
    let Link { transport, outbox, .. } = link;
    match body {
        // An empty chunk would be the last.
        _ if content.is_empty() => Ok(()),
        Body::None => Ok(()),
        Body::Length => outbox.push(transport, cx, &[content]),
        Body::Chunked => {
            let mut room = SizeLine::default();
            outbox.push(transport, cx, &[size_line(&mut room, content.len()), content, b"\r\n"])
        }
    }
}
