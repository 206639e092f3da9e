//! Gathers what is written of an answer, so that its head and a small body leave together.
//!
//! Pingora has such a buffer in each connection. This one has memory while a request runs, and none
//! between requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::wrapped::{Polled, send_to};

/// What fits in a packet; more is not held back.
const MOST: usize = 1460;

/// What was written and has not left.
#[derive(Debug, Default)]
pub(crate) struct Gather(BytesMut);

impl Gather {
    /// Takes bytes in, or writes them when they are many.
    pub(crate) fn poll_send<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Polled<usize>
    where
        S: AsyncWrite + Unpin + ?Sized,
    {
        let length = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        ready!(self.poll_room(stream, cx, length))?;
        if length >= MOST {
            return send_to(stream, cx, slices);
        }
        for slice in slices {
            self.0.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes what waits.
    pub(crate) fn poll_drain<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Polled
    where
        S: AsyncWrite + Unpin + ?Sized,
    {
        while !self.0.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.0))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.0.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Gives its memory back, unless something waits in it.
    pub(crate) fn rest(&mut self) {
        if self.0.is_empty() {
            self.0 = BytesMut::new();
        }
    }

    /// Makes room for so many bytes more.
    fn poll_room<S>(&mut self, stream: &mut S, cx: &mut Context<'_>, length: usize) -> Polled
    where
        S: AsyncWrite + Unpin + ?Sized,
    {
        if self.0.len() + length > MOST {
            ready!(self.poll_drain(stream, cx))?;
        }
        if length < MOST {
            self.0.reserve(MOST - self.0.len());
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_small_leaves_together_and_in_order() {
        let (mut near, mut far) = duplex(1 << 16);
        let mut gather = Gather::default();
        for piece in [&b"head "[..], b"body "] {
            let piece = [IoSlice::new(piece)];
            let written = poll_fn(|cx| gather.poll_send(&mut near, cx, &piece)).await;
            assert_eq!(written.unwrap(), 5);
        }
        let slices = [IoSlice::new(b"in "), IoSlice::new(b"two ")];
        let written = poll_fn(|cx| gather.poll_send(&mut near, cx, &slices)).await;
        assert_eq!(written.unwrap(), 7);
        let mut buffer = [0; 64];
        let nothing = tokio::time::timeout(std::time::Duration::ZERO, far.read(&mut buffer)).await;
        assert!(nothing.is_err(), "not before the flush");
        poll_fn(|cx| gather.poll_drain(&mut near, cx)).await.unwrap();
        let read = far.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"head body in two ");
    }

    #[tokio::test]
    async fn what_is_large_pushes_out_what_waits_and_is_not_held() {
        // A narrow pipe, so that writes are partial.
        let (mut near, mut far) = duplex(100);
        let sent = [&b"head"[..], &[b'x'; MOST], b"more", &[b'y'; MOST - 1]].concat();
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut gather = Gather::default();
        let mut rest = &sent[..];
        for end in [4, MOST + 4, MOST + 8, sent.len()] {
            while sent.len() - rest.len() < end {
                let piece = &rest[..end - (sent.len() - rest.len())];
                let piece = [IoSlice::new(piece)];
                let written = poll_fn(|cx| gather.poll_send(&mut near, cx, &piece)).await;
                rest = &rest[written.unwrap()..];
            }
        }
        poll_fn(|cx| gather.poll_drain(&mut near, cx)).await.unwrap();
        drop(near);
        assert_eq!(reading.await.unwrap(), sent);
    }
}
