//! The body of a request of HTTP/1, as it comes.

use std::task::Context;

use bytes::{Buf, BytesMut};
use pingora::Result;

use super::downstream::Take;
use super::errors::broken_body;
use super::replay::Replay;
use crate::proxy::wire::body::Incoming;
use crate::proxy::wire::strict::Body;

/// The body of a request, as it comes.
pub(super) struct Inbound {
    pub(super) incoming: Incoming,
    /// What was read and belongs to no request yet.
    pub(super) unread: BytesMut,
    pub(super) received: u64,
    pub(super) replay: Option<Replay>,
}

impl Inbound {
    /// The body behind a head, of which `unread` came with it.
    pub(super) fn of(body: Body, unread: BytesMut) -> Self {
        let incoming = match body {
            Body::Length(length) => Incoming::Length(length),
            Body::Chunked => Incoming::chunked(),
        };
        Self { incoming, unread, received: 0, replay: None }
    }

    /// Gives on what of `bytes` is content; how many are the body's.
    pub(super) fn take(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        take: Take<'_>,
    ) -> Result<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let (own, content) = self.incoming.take(&bytes[at..]).map_err(broken_body)?;
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
    pub(super) fn take_unread(&mut self, cx: &mut Context<'_>, take: Take<'_>) -> Result<bool> {
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
    pub(super) fn take_again(&mut self, cx: &mut Context<'_>, take: Take<'_>) -> bool {
        match &mut self.replay {
            Some(replay) => replay.take(cx, take),
            None => false,
        }
    }
}
