//! What was written to a connection and has not left.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

/// The most slices that are written at once.
const MOST_SLICES: usize = 5;

/// The room that a usual head takes.
const HEAD: usize = 1024;

/// What was written to a connection and has not left. It takes whatever it is given: who gives it more
/// asks first whether it is full.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: BytesMut,
    /// Whether the connection took no more when it was last asked.
    is_full: bool,
    /// Whether something was written that may wait below.
    is_below: bool,
}

impl Outbox {
    /// Bytes that wait here.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the connection takes no more for now.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Where a head is written that leaves with what comes behind it.
    pub fn head(&mut self) -> &mut BytesMut {
        self.waiting.reserve(HEAD);
        &mut self.waiting
    }

    /// Takes bytes that leave with what comes behind them.
    pub fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Writes what waits, and `slices` behind it. What does not leave waits here.
    ///
    /// # Errors
    /// When the connection is at its end.
    pub fn push<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        slices: &[&[u8]],
    ) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        if self.is_full {
            for slice in slices {
                self.put(slice);
            }
            return Ok(());
        }
        let before = self.waiting.len();
        let all = before + slices.iter().map(|slice| slice.len()).sum::<usize>();
        let mut left = 0;
        while left < all && !self.is_full {
            let mut parts = [IoSlice::new(&[]); MOST_SLICES];
            let mut skip = left;
            let mut count = 0;
            for slice in std::iter::once(&self.waiting[..]).chain(slices.iter().copied()) {
                if skip >= slice.len() {
                    skip -= slice.len();
                } else if count < MOST_SLICES {
                    parts[count] = IoSlice::new(&slice[skip..]);
                    count += 1;
                    skip = 0;
                }
            }
            let written = match &parts[..count] {
                [one] => Pin::new(&mut *stream).poll_write(cx, one),
                parts => Pin::new(&mut *stream).poll_write_vectored(cx, parts),
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => left += written,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => self.is_full = true,
            }
        }
        self.is_below |= left > 0;
        if left < all {
            let mut skip = left.saturating_sub(before);
            self.waiting.advance(left.min(before));
            for slice in slices {
                let rest = slice.get(skip..).unwrap_or_default();
                skip = skip.saturating_sub(slice.len());
                self.waiting.extend_from_slice(rest);
            }
        } else {
            self.waiting.clear();
        }
        Ok(())
    }

    /// Writes all that waits, here and below.
    ///
    /// # Errors
    /// When the connection is at its end.
    pub fn poll_flush<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.waiting.is_empty() {
            self.is_full = true;
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_below = true;
            self.waiting.advance(written);
        }
        self.is_full = false;
        if self.is_below {
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            self.is_below = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives its memory back, unless something waits in it.
    pub fn rest(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_does_not_leave_waits_in_its_order() {
        // A narrow pipe, so that writes are partial.
        let (mut near, mut far) = duplex(100);
        let slices = [&[b'a'; 30][..], &[b'b'; 150], &[b'c'; 7], b"", &[b'd'; 40]];
        let sent: Vec<u8> = [&b"head"[..]].iter().chain(&slices).flat_map(|s| s.to_vec()).collect();
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut outbox = Outbox::default();
        outbox.put(b"head");
        poll_fn(|cx| Poll::Ready(outbox.push(&mut near, cx, &slices))).await.unwrap();
        assert!(outbox.is_full() && !outbox.is_empty());
        poll_fn(|cx| Poll::Ready(outbox.push(&mut near, cx, &[b"behind"]))).await.unwrap();
        poll_fn(|cx| outbox.poll_flush(&mut near, cx)).await.unwrap();
        assert!(!outbox.is_full() && outbox.is_empty());
        drop(near);
        assert_eq!(reading.await.unwrap(), [&sent[..], b"behind"].concat());
    }

    #[tokio::test]
    async fn what_was_put_leaves_with_what_is_pushed() {
        let (mut near, mut far) = duplex(1 << 16);
        let mut outbox = Outbox::default();
        outbox.put(b"head ");
        poll_fn(|cx| Poll::Ready(outbox.push(&mut near, cx, &[b"body"]))).await.unwrap();
        assert!(outbox.is_empty());
        let mut buffer = [0; 64];
        let read = far.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"head body");
    }
}
