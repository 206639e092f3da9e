//! What follows a switch of protocols: bytes, both ways, until each side has ended.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pingora::Result;

use super::downstream::Relayed;
use super::relay::{Relay, Upload};
use super::request::Body;
use crate::proxy::wire::body::Incoming;

impl<C: Relayed> Relay<'_, C> {
    /// From now on what comes and goes is another protocol's, up to the end of each side. Ends when both
    /// have ended, when neither has said anything for `idle`, or when one side has ended and the other
    /// has said nothing for `alone`.
    pub(super) fn upgrade(&mut self) {
        self.client.upgrade();
        self.upload = Upload::Flows(Body::Length);
        self.answer = Incoming::UntilClose;
    }

    /// The other protocol, to its end.
    pub(super) fn poll_tunnel(
        &mut self,
        cx: &mut Context<'_>,
        (idle, alone): (Duration, Duration),
    ) -> Poll<()> {
        let is_asked = match self.poll_upload(cx) {
            Ok(()) => matches!(self.upload, Upload::Whole) && self.link.poll_close(cx).is_ready(),
            Err(_) => return Poll::Ready(()),
        };
        let is_answered = match self.poll_tunnelled(cx) {
            Ok(is_ended) => is_ended && self.client.poll_close(cx).is_ready(),
            Err(_) => return Poll::Ready(()),
        };
        let limit = if is_asked || is_answered { alone } else { idle };
        let silent = self.asked.max(self.answered).checked_add(limit);
        let is_over = (is_asked && is_answered)
            || matches!(self.upload, Upload::Broken(_))
            || silent.is_some_and(|silent| self.client.poll_clock(cx, silent));
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Passes on what the backend says; whether it has ended its side, and the client has all of it.
    fn poll_tunnelled(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        loop {
            if self.client.is_full() && !self.poll_flush(cx)? {
                return Ok(false);
            }
            if self.answer.is_whole() {
                return self.poll_flush(cx);
            }
            if !self.link.unread.is_empty() {
                let unread = std::mem::take(&mut self.link.unread);
                self.pass(cx, &unread)?;
            } else if self.poll_piece(cx)?.is_ready() {
                self.answered = Instant::now();
            } else {
                self.poll_flush(cx)?;
                return Ok(false);
            }
        }
    }
}
