//! What follows a switch of protocols: bytes, both ways, until each side has ended.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pingora::Result;

use super::downstream::Relayed;
use super::errors::unread_answer;
use super::relay::{Relay, Upload};
use super::request::Body;
use super::scratch;
use crate::link::Link;
use crate::proxy::carry::leaving::Leaving;
use crate::proxy::wire::body::Incoming;
use crate::proxy::wire::web_socket::{Frames, SERVICE_RESTART};

/// How long a WebSocket that is closed waits: for the end of a frame that does not go on, and then for its
/// client to answer and its backend to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// When a tunnel ends before both of its sides have.
pub(super) struct Tunnel {
    /// When neither has said anything for so long.
    idle: Duration,
    /// When one has ended, and the other has said nothing for so long.
    alone: Duration,
    closing: Option<Box<Closing>>,
}

/// A WebSocket that is closed once what it runs on was left.
struct Closing {
    leaving: Box<Leaving>,
    /// What the backend sends.
    frames: Frames,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// It is closed behind the frame that is on its way.
    Due,
    /// The client has a close frame, and gets nothing more. Its own goes to the backend, which ends the
    /// connection then, as if the client had begun.
    Closed,
}

impl Tunnel {
    pub(super) fn new((idle, alone): (Duration, Duration), leaving: Option<Box<Leaving>>) -> Self {
        let closing = leaving.map(|leaving| {
            Box::new(Closing { leaving, frames: Frames::default(), stage: Stage::Open })
        });
        Self { idle, alone, closing }
    }
}

impl<C: Relayed> Relay<'_, C> {
    /// From now on what comes and goes is another protocol's, up to the end of each side.
    pub(super) fn upgrade(&mut self) {
        self.client.upgrade();
        self.upload = Upload::Flows(Body::Length);
        self.answer = Incoming::UntilClose;
    }

    /// The other protocol, to its end.
    pub(super) fn poll_tunnel(&mut self, cx: &mut Context<'_>, tunnel: &mut Tunnel) -> Poll<()> {
        let is_asked = match self.poll_upload(cx) {
            Ok(()) => matches!(self.upload, Upload::Whole) && self.link.poll_close(cx).is_ready(),
            Err(_) => return Poll::Ready(()),
        };
        let closing = tunnel.closing.as_deref_mut();
        let is_answered = match self.poll_tunnelled(cx, closing) {
            Ok(is_ended) => is_ended && self.client.poll_close(cx).is_ready(),
            Err(_) => return Poll::Ready(()),
        };
        let limit = if is_asked || is_answered { tunnel.alone } else { tunnel.idle };
        let is_closing =
            tunnel.closing.as_ref().is_some_and(|closing| closing.stage != Stage::Open);
        let silent = if is_closing {
            // What the client still says is no reason to wait longer.
            self.answered.checked_add(limit.min(CLOSE_TIMEOUT))
        } else {
            self.asked.max(self.answered).checked_add(limit)
        };
        let is_over = (is_asked && is_answered)
            || matches!(self.upload, Upload::Broken(_))
            || silent.is_some_and(|silent| self.client.poll_clock(cx, silent));
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Passes on what the backend says; whether it has ended its side, and the client has all of it.
    fn poll_tunnelled(
        &mut self,
        cx: &mut Context<'_>,
        mut closing: Option<&mut Closing>,
    ) -> Result<bool> {
        if let Some(closing) = &mut closing
            && closing.becomes_due(cx, self.client)
        {
            self.answered = Instant::now();
            closing.close(cx, self.client)?;
        }
        loop {
            if self.client.is_full() && !self.poll_flush(cx)? {
                return Ok(false);
            }
            if self.answer.is_whole() {
                return self.poll_flush(cx);
            }
            let is_closed = closing.as_ref().is_some_and(|closing| closing.stage == Stage::Closed);
            if !self.link.unread.is_empty() {
                let unread = std::mem::take(&mut self.link.unread);
                match &mut closing {
                    Some(closing) => closing.pass(cx, self.client, &unread)?,
                    None => _ = self.pass(cx, &unread)?,
                }
                continue;
            }
            let piece = match &mut closing {
                Some(closing) => self.poll_frames(cx, closing)?,
                None => self.poll_piece(cx)?,
            };
            if piece.is_pending() {
                self.poll_flush(cx)?;
                return Ok(false);
            }
            if !is_closed {
                self.answered = Instant::now();
            }
        }
    }

    /// Reads the next piece of a WebSocket whose frames are followed, and passes it on.
    fn poll_frames(&mut self, cx: &mut Context<'_>, closing: &mut Closing) -> Result<Poll<()>> {
        let Poll::Ready(most) = self.client.poll_room(cx) else { return Ok(Poll::Pending) };
        let Self { client, link, answer, .. } = self;
        let Link { transport, .. } = &mut **link;
        let read = scratch::poll_read(transport, cx, most, |cx, bytes| {
            if bytes.is_empty() {
                answer.end();
            }
            closing.pass(cx, *client, bytes)
        });
        match read {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(passed)) => passed.map(Poll::Ready),
            Poll::Ready(Err(error)) => Err(unread_answer(error)),
        }
    }
}

impl Closing {
    /// Whether it is to be closed from now on.
    fn becomes_due<C: Relayed>(&mut self, cx: &mut Context<'_>, client: &mut C) -> bool {
        let is_due = self.stage == Stage::Open
            && self.leaving.ends_at(cx).is_some_and(|at| client.poll_clock(cx, at));
        if is_due {
            self.stage = Stage::Due;
        }
        is_due
    }

    /// Passes on what the backend says, once it is to be closed up to the end of a frame.
    fn pass<C: Relayed>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        bytes: &[u8],
    ) -> Result<()> {
        match self.stage {
            Stage::Open => {
                self.frames.pass(bytes);
                client.send(cx, bytes)
            }
            Stage::Due => {
                let own = self.frames.pass_to_end(bytes);
                client.send(cx, &bytes[..own])?;
                self.close(cx, client)
            }
            Stage::Closed => Ok(()),
        }
    }

    /// Sends the close frame where it may stand: a client would take one within a frame for its payload.
    fn close<C: Relayed>(&mut self, cx: &mut Context<'_>, client: &mut C) -> Result<()> {
        if !self.frames.is_between() {
            return Ok(());
        }
        self.stage = Stage::Closed;
        // Behind the backend's own there is no other.
        if self.frames.has_closed() { Ok(()) } else { client.send(cx, &SERVICE_RESTART) }
    }
}
