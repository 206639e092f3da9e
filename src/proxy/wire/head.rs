//! Reads the head of an HTTP/1 request under our own time-outs and size limit.
//!
//! Pingora's reader has no total time-out for a head, and none at all after the first request of a
//! connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora::time::timeout;
use tokio::io::{AsyncRead, ReadBuf};

use super::clock::Clock;
use super::strict::{Body, Check, Fault};
use crate::heads::RequestHead;

/// How a client begins HTTP/2 with prior knowledge (RFC 9113 §3.4).
pub(crate) const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Read at most so much at once: heads are small.
const SCRATCH: usize = 8 * 1024;

thread_local! {
    /// Shared by all connections of a thread, so that an idle connection holds no buffer.
    static BUFFER: RefCell<[u8; SCRATCH]> = const { RefCell::new([0; SCRATCH]) };
}

/// The limits of reading a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Until its first byte.
    pub(crate) idle: Duration,
    /// From its first byte to its last.
    pub(crate) total: Duration,
    /// Its size in bytes.
    pub(crate) bytes: usize,
}

/// What came instead of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHead {
    /// The client closed, or stayed silent, before the first byte: an ordinary end.
    Ended,
    /// It closed in the middle of a head.
    Cut,
    /// The head did not end in time.
    TimedOut,
    /// The head did not end within its size.
    TooLarge,
    /// It doesn't begin as any request does: TLS on a plain port, for one.
    NotHttp,
    /// It is not what a head must be.
    Faulty(Fault),
}

/// The head of an HTTP/1 request.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) head: RequestHead,
    /// What was read behind it.
    pub(crate) rest: BytesMut,
    /// How its body is delimited.
    pub(crate) body: Body,
}

/// What a connection begins with.
#[derive(Debug)]
pub(crate) enum Head {
    Http1(Whole),
    /// The preface of HTTP/2, and whatever came with it.
    Http2(BytesMut),
}

/// Waits for the first bytes of a request. Nothing is held meanwhile.
pub(crate) async fn first_bytes<S>(
    stream: &mut S,
    clock: &mut Clock,
    idle: Duration,
) -> Result<BytesMut, NoHead>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let deadline = Instant::now().checked_add(idle);
    poll_fn(|cx| {
        let mut head = BytesMut::new();
        match poll_read_some(stream, cx, &mut head) {
            Poll::Ready(Ok(1..)) => Poll::Ready(Ok(head)),
            Poll::Ready(_) => Poll::Ready(Err(NoHead::Ended)),
            Poll::Pending if deadline.is_some_and(|deadline| clock.poll(cx, deadline)) => {
                Poll::Ready(Err(NoHead::Ended))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Reads on until the head is whole. `h2` allows the preface of HTTP/2 in its place.
pub(crate) async fn rest_of_head<S>(
    stream: &mut S,
    mut head: BytesMut,
    h2: bool,
    limits: HeadLimits,
) -> Result<Head, NoHead>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let mut check = Check::default();
    let reading = async {
        loop {
            if let Some(end) = look(&head, h2, &mut check, limits.bytes)? {
                return Ok(end);
            }
            match read_some(stream, &mut head).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(NoHead::Cut),
            }
        }
    };
    let end = timeout(limits.total, reading).await.unwrap_or(Err(NoHead::TimedOut))?;
    Ok(match end {
        End::Http1(end) => {
            // One of them is copied, for both would share what is added to: the smaller one, since many
            // requests may come at once.
            let rest = if head.len() - end <= end {
                let rest = BytesMut::from(&head[end..]);
                head.truncate(end);
                rest
            } else {
                let rest = head.split_off(end);
                head = BytesMut::from(&head[..]);
                rest
            };
            let body = check.body();
            Head::Http1(Whole { head: check.into_head(head), rest, body })
        }
        End::Http2 => Head::Http2(head),
    })
}

/// What a whole head is.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It ends here.
    Http1(usize),
    Http2,
}

/// Whether the head is whole. `check` has seen what was there at the last look.
fn look(head: &[u8], h2: bool, check: &mut Check, limit: usize) -> Result<Option<End>, NoHead> {
    if h2
        && head[..head.len().min(H2_PREFACE.len())]
            == H2_PREFACE[..head.len().min(H2_PREFACE.len())]
    {
        return Ok((head.len() >= H2_PREFACE.len()).then_some(End::Http2));
    }
    if head.first().is_some_and(|b| !(b.is_ascii_graphic() || matches!(b, b'\r' | b'\n'))) {
        return Err(NoHead::NotHttp);
    }
    match check.advance(head).map_err(NoHead::Faulty)? {
        Some(empty) if empty <= limit => Ok(Some(End::Http1(empty + 2))),
        None if head.len() < limit => Ok(None),
        _ => Err(NoHead::TooLarge),
    }
}

/// Reads what there is, through a buffer that all connections of a thread share.
pub(crate) async fn read_some<S>(stream: &mut S, into: &mut BytesMut) -> std::io::Result<usize>
where
    S: AsyncRead + Unpin + ?Sized,
{
    poll_fn(|cx| poll_read_some(stream, cx, into)).await
}

/// As [`read_some`], once.
pub(crate) fn poll_read_some<S>(
    stream: &mut S,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
) -> Poll<std::io::Result<usize>>
where
    S: AsyncRead + Unpin + ?Sized,
{
    BUFFER.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        Pin::new(stream).poll_read(cx, &mut read).map_ok(|()| {
            into.extend_from_slice(read.filled());
            read.filled().len()
        })
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { idle: Duration::from_secs(5), total: Duration::from_secs(5), bytes: 256 };

    /// Feeds `pieces` one by one, each in a read of its own.
    async fn read(pieces: &[&[u8]], h2: bool) -> Result<Head, NoHead> {
        let (mut client, mut server) = tokio::io::duplex(1);
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let writing = tokio::spawn(async move {
            for piece in pieces {
                if client.write_all(&piece).await.is_err() {
                    break;
                }
            }
        });
        let first = first_bytes(&mut server, &mut Clock::default(), LIMITS.idle).await?;
        let head = rest_of_head(&mut server, first, h2, LIMITS).await;
        drop(server);
        writing.await.expect("the writer ends");
        head
    }

    async fn none(pieces: &[&[u8]], h2: bool) -> NoHead {
        read(pieces, h2).await.expect_err("it is no head")
    }

    #[tokio::test]
    async fn a_head_ends_at_its_empty_line_wherever_reads_are_cut() {
        for text in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nGET / HTTP/1.0\r\n\r\n"] {
            // The pipe holds one byte, so every byte is a read.
            let Ok(Head::Http1(whole)) = read(&[text.as_bytes()], true).await else {
                panic!("{text:?}");
            };
            assert_eq!(whole.head.target(), b"/");
            assert_eq!(whole.head.headers.len(), text.matches(": ").count());
            assert_eq!(whole.head.into_text(), text.as_bytes());
        }
    }

    #[tokio::test]
    async fn the_preface_of_http2_is_known_where_it_may_come() {
        let Ok(Head::Http2(preface)) = read(&[H2_PREFACE], true).await else {
            panic!("it is known")
        };
        assert_eq!(preface, H2_PREFACE);
        assert_eq!(none(&[H2_PREFACE], false).await, NoHead::Faulty(Fault::UnknownVersion));
        // What only begins like it is HTTP/1.
        let text = b"PRI / HTTP/1.0\r\n\r\n";
        assert!(matches!(read(&[text], true).await, Ok(Head::Http1(_))));
    }

    #[tokio::test]
    async fn what_is_no_head_is_told_apart() {
        assert_eq!(none(&[], true).await, NoHead::Ended);
        assert_eq!(none(&[b"GET / HT"], true).await, NoHead::Cut);
        assert_eq!(none(&[b"\x16\x03\x01"], true).await, NoHead::NotHttp);
        let faulty = NoHead::Faulty(Fault::BareLineFeed);
        assert_eq!(none(&[b"GET / HTTP/1.1\n"], true).await, faulty, "at once");
        assert_eq!(none(&[&[b'a'; 1000]], true).await, NoHead::TooLarge);
    }

    #[tokio::test]
    async fn a_head_that_comes_in_one_piece_has_the_same_limit() {
        let request = |size: usize| {
            let mut head = b"POST / HTTP/1.0\r\nX: ".to_vec();
            head.resize(size - 2, b'a');
            [&head[..], b"\r\n\r\n", &[b'b'; 1000]].concat()
        };
        for (size, fits) in [(256, true), (257, false)] {
            let (mut client, mut server) = tokio::io::duplex(4096);
            client.write_all(&request(size)).await.unwrap();
            let first = first_bytes(&mut server, &mut Clock::default(), LIMITS.idle).await.unwrap();
            let head = rest_of_head(&mut server, first, true, LIMITS).await;
            assert_eq!(head.is_ok(), fits, "{size}: a body does not count, the head does");
        }
    }

    #[tokio::test]
    async fn a_head_that_drips_is_cut_off_in_all_not_per_byte() {
        let (mut client, mut server) = tokio::io::duplex(64);
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let first = first_bytes(&mut server, &mut Clock::default(), LIMITS.idle).await.unwrap();
        let limits = HeadLimits { total: Duration::from_millis(100), ..LIMITS };
        let dripping = tokio::spawn(async move {
            while client.write_all(b"a: b\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let head = rest_of_head(&mut server, first, true, limits).await;
        assert_eq!(head.err(), Some(NoHead::TimedOut));
        drop(server);
        dripping.await.expect("the client ends");
    }
}
