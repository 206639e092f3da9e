//! A connection whose reader may be slow, but not for long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long an answer may take from the moment that the reader falls behind.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream that fails when an answer is not taken in time, however little of it is taken now and then.
pub(super) struct Patient<S> {
    stream: S,
    deadline: Pin<Box<Sleep>>,
    is_behind: bool,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, deadline: Box::pin(sleep(ANSWER_TIMEOUT)), is_behind: false }
    }

    /// What a write came to, or that it took too long.
    fn bounded<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        if !self.is_behind {
            self.is_behind = true;
            self.deadline.as_mut().reset(Instant::now() + ANSWER_TIMEOUT);
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        // Another request: the answer before it was taken, or hyper would not read.
        this.is_behind &= buffer.filled().len() == before;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.bounded(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.bounded(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_little_now_and_then_is_given_up() {
        let (mut reader, server) = tokio::io::duplex(16);
        let mut server = Patient::new(server);
        let trickle = tokio::spawn(async move {
            let mut byte = [0];
            while reader.read(&mut byte).await.is_ok_and(|read| read > 0) {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let started = Instant::now();
        let error = server.write_all(&[7; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), ANSWER_TIMEOUT.as_secs());
        drop(server);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_was_slow_once_has_all_the_time_for_the_next_answer() {
        let (mut reader, server) = tokio::io::duplex(16);
        let mut server = Patient::new(server);
        for _ in 0..3 {
            reader.write_all(b"?").await.unwrap();
            server.read_u8().await.unwrap();
            let slow = async {
                sleep(ANSWER_TIMEOUT / 2).await;
                reader.read_exact(&mut [0; 64]).await
            };
            let (written, read) = tokio::join!(server.write_all(&[7; 64]), slow);
            written.unwrap();
            read.unwrap();
        }
    }
}
