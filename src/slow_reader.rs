//! A connection whose reader may be slow, but not for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::wrapped::{Polled, Wraps, send_to, wraps};

/// What a reader has to take in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The whole answer, from the moment that it falls behind, however little it takes now and then.
    WholeAnswer,
    /// Something: answers may go on for ever, so each piece that is taken begins the time anew.
    EachPiece,
}

/// A stream of which a write fails when its reader is too slow.
pub(crate) struct SlowReader<S> {
    stream: S,
    limit: Duration,
    rule: Rule,
    /// Until when something must be taken, while the reader is behind.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> SlowReader<S> {
    /// The stream, whose reader has `limit` to do what the rule says.
    pub(crate) fn new(stream: S, limit: Duration, rule: Rule) -> Self {
        Self { stream, limit, rule, deadline: None }
    }

    /// What a write came to, or that it took too long.
    fn bounded<T>(&mut self, written: Polled<T>, cx: &mut Context<'_>) -> Polled<T> {
        if written.is_ready() {
            if self.rule == Rule::EachPiece {
                self.deadline = None;
            }
            return written;
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wraps for SlowReader<S> {
    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Polled {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // Another request: the answer before it was taken, or hyper would not read.
        if self.rule == Rule::WholeAnswer && buffer.filled().len() > before {
            self.deadline = None;
        }
        read
    }

    fn send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Polled<usize> {
        let written = send_to(&mut self.stream, cx, slices);
        self.bounded(written, cx)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Polled {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(flushed, cx)
    }

    fn close(&mut self, cx: &mut Context<'_>) -> Polled {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(closed, cx)
    }
}

wraps!(SlowReader<S> [S: AsyncRead + AsyncWrite + Unpin]: S);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_little_now_and_then_is_given_up() {
        let (mut reader, server) = tokio::io::duplex(16);
        let mut server = SlowReader::new(server, LIMIT, Rule::WholeAnswer);
        let trickle = tokio::spawn(async move {
            let mut byte = [0];
            while reader.read(&mut byte).await.is_ok_and(|read| read > 0) {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let started = Instant::now();
        let error = server.write_all(&[7; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
        drop(server);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_was_slow_once_has_all_the_time_for_the_next_answer() {
        let (mut reader, server) = tokio::io::duplex(16);
        let mut server = SlowReader::new(server, LIMIT, Rule::WholeAnswer);
        for _ in 0..3 {
            reader.write_all(b"?").await.unwrap();
            server.read_u8().await.unwrap();
            let slow = async {
                sleep(LIMIT / 2).await;
                reader.read_exact(&mut [0; 64]).await
            };
            let (written, read) = tokio::join!(server.write_all(&[7; 64]), slow);
            written.unwrap();
            read.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_goes_on_reading_is_not() {
        let (mut client, server) = tokio::io::duplex(1);
        let mut server = SlowReader::new(server, LIMIT, Rule::EachPiece);
        let reading = async {
            let mut read = Vec::new();
            while read.len() < 10 {
                tokio::time::sleep(LIMIT * 9 / 10).await;
                read.push(client.read_u8().await.unwrap());
            }
            read
        };
        let (written, read) = tokio::join!(server.write_all(b"0123456789"), reading);
        written.unwrap();
        assert_eq!(read, b"0123456789");
    }
}
