//! A connection with a backend that is read only while the request that runs on it has room.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arc_swap::ArcSwapOption;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, Stream};
use tokio::io::{AsyncRead, ReadBuf};

use super::account::Account;
use crate::wrapped::{Polled, Wraps, pass_through, wraps};

/// What Pingora has room for when it reads a body: 64 KiB, or less by the beginning of a chunk's size that
/// came before. Heads, which it reads into a few KiB, must always be read to their ends.
const BODY_ROOM: RangeInclusive<usize> = 56 * 1024..=64 * 1024;

/// Whose answer is read; `None` between requests.
#[derive(Debug, Default)]
pub(crate) struct Gate(ArcSwapOption<Account>);

impl Gate {
    /// From now on the connection is read for `account`.
    pub(crate) fn attach(&self, account: &Arc<Account>) {
        self.0.store(Some(Arc::clone(account)));
    }

    /// The request of `account` has ended. Another one may run on the connection already.
    pub(crate) fn detach(&self, account: &Arc<Account>) {
        let current = self.0.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, account)) {
            self.0.compare_and_swap(&current, None);
        }
        account.wake();
    }
}

/// The stream, and what Pingora shows of it to those who know only its digests.
#[derive(Debug)]
pub(super) struct Gated {
    stream: Stream,
    gate: Arc<Gate>,
    digest: Arc<ProxyDigest>,
}

impl Gated {
    pub(super) fn new(stream: Stream) -> pingora::Result<Self> {
        let gate = Arc::<Gate>::default();
        // There is no proxy in between: it is the one digest that has room for data of ours.
        let response = Box::new(ResponseHeader::build(200, Some(0))?);
        let digest = Arc::new(ProxyDigest::new(response, Some(Box::new(Arc::clone(&gate)))));
        Ok(Self { stream, gate, digest })
    }
}

impl Wraps for Gated {
    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Polled {
        if !BODY_ROOM.contains(&buffer.remaining()) {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let account = self.gate.0.load();
        let Some(account) = &*account else {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        };
        let room = ready!(account.poll_room(cx));
        let before = buffer.filled().len();
        if room >= buffer.remaining() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
        }
        account.note_read(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

wraps!(Gated: Stream);
pass_through!(Gated);

impl GetProxyDigest for Gated {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::super::budget::tests::LIMITS;
    use super::super::{Budgets, gate_of};
    use super::*;
    use crate::counters::Metrics;

    /// Reads up to so many bytes; `None` when it may not be read.
    fn read(gated: &mut Gated, room: usize) -> Option<Bytes> {
        let mut buffer = BytesMut::with_capacity(room);
        let mut limited = gated.take(room as u64);
        tokio::task::unconstrained(limited.read_buf(&mut buffer))
            .now_or_never()?
            .expect("it is open");
        Some(buffer.freeze())
    }

    #[tokio::test]
    async fn bodies_wait_for_room_and_heads_do_not() {
        let (mut backend, near) = duplex(1 << 20);
        backend.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
        let mut gated = Gated::new(Box::new(near)).unwrap();
        assert_eq!(read(&mut gated, 65_536).unwrap().len(), 65_536, "nobody's");
        let digest = pingora::protocols::Digest {
            proxy_digest: gated.get_proxy_digest(),
            ..Default::default()
        };
        let gate = gate_of(Some(&digest)).expect("it has one");
        let budget = Budgets::default().open(None, LIMITS, &Metrics::default());
        let (account, next) = (Account::open(Arc::clone(&budget)), Account::open(budget));
        gate.attach(&account);
        assert_eq!(read(&mut gated, 65_536).unwrap().len(), 65_536);
        assert!(read(&mut gated, 65_536).is_none(), "nobody has looked at it");
        assert_eq!(read(&mut gated, 4096).unwrap().len(), 4096, "a head");
        let mut body = Some(Bytes::from_static(b"x"));
        account.pass(&mut body, false);
        assert!(read(&mut gated, 65_536).is_some());
        gate.attach(&next);
        gate.detach(&account);
        assert!(read(&mut gated, 65_536).is_some());
        assert!(read(&mut gated, 65_536).is_none(), "the next request has the gate");
        gate.detach(&next);
        assert!(read(&mut gated, 65_536).is_some());
    }
}
