//! Frames of HTTP/2 that cost and carry nothing: how many a connection may send, and make us send.
//!
//! The h2 crate bounds what they take in memory: CONTINUATION by the header list, resets that were not
//! accepted yet, one PING and one SETTINGS at a time. It answers them as fast as they come, though, and
//! a stream that is accepted and reset at once is a request to a backend. So the frames are counted
//! below it, as they are read; and as they are written the resets that say that the client has broken
//! the protocol, for each has cost a stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, Stream};
use tokio::io::{AsyncRead, ReadBuf};

use super::header_blocks::HeaderBlocks;
use crate::proxy::memory::Budget as MemoryBudget;
use crate::wrapped::{Polled, Wraps, pass_through, send_to, wraps};

const HEADER: usize = 9;
const PREFACE: usize = 24;

/// Types of frames (RFC 9113 §6).
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;

/// What a reset says that was the client's own doing (RFC 9113 §7): errors of the protocol, of flow
/// control, of closed streams, of frame sizes, streams beyond the limit, and too much of anything.
const CODES_OF_CLIENTS: [u32; 6] = [0x1, 0x3, 0x5, 0x6, 0x7, 0xb];

/// A client may send a `WINDOW_UPDATE` for the stream and one for the connection whenever a frame of DATA
/// has come, and twice that where it counts its own way.
const WINDOW_UPDATES_PER_DATA: u32 = 4;

/// How many of those it may save up: what it received on many streams, it may answer at once.
const MAX_WINDOW_CREDIT: u32 = 4096;

/// The flag of DATA that ends a stream: an empty one that does carries news.
const END_STREAM: u8 = 0x1;

/// A reset may have cost a request to a backend.
const COST_OF_RESET: f64 = 10.0;

/// Set once a connection was ended for its frames.
pub(crate) type Flooded = Arc<AtomicBool>;

/// A connection of HTTP/2 that ends when it sends too many such frames.
#[derive(Debug)]
pub(crate) struct Metered {
    stream: Stream,
    costs: Costs,
    budget: Budget,
    flooded: Flooded,
    blocks: HeaderBlocks,
    memory: Arc<MemoryBudget>,
}

impl Metered {
    pub(crate) fn new(
        stream: Stream,
        per_sec: u32,
        blocks: HeaderBlocks,
        memory: Arc<MemoryBudget>,
    ) -> (Self, Flooded) {
        let flooded = Flooded::default();
        let budget = Budget::new(per_sec);
        let (costs, noted) = (Costs::new(), Arc::clone(&flooded));
        let metered = Self { stream, costs, budget, flooded: noted, blocks, memory };
        (metered, flooded)
    }

    /// # Errors
    /// When it has sent, or made us send, too much for nothing.
    fn pay(&mut self, cost: f64) -> io::Result<()> {
        if cost > 0.0 && !self.budget.pays(cost, Instant::now()) {
            self.flooded.store(true, Ordering::Relaxed);
        }
        if self.flooded.load(Ordering::Relaxed) {
            return Err(io::Error::other("too many frames that carry nothing"));
        }
        Ok(())
    }
}

/// The payload of a `RST_STREAM`: why.
const CODE: usize = 4;

/// Finds the heads of frames in a stream of bytes.
#[derive(Debug)]
struct Frames {
    /// Bytes until the next head begins.
    skip: usize,
    /// A head, and the code behind it where it is that of a `RST_STREAM`.
    head: [u8; HEADER + CODE],
    /// How much of it is there.
    have: usize,
}

/// What is counted of a frame.
struct Frame {
    kind: u8,
    flags: u8,
    length: usize,
    /// Why a stream was reset; 0 for any other frame.
    code: u32,
}

impl Frames {
    /// Those of what a client sends.
    fn received() -> Self {
        Self { skip: PREFACE, head: [0; HEADER + CODE], have: 0 }
    }

    /// Those of what it is sent.
    fn sent() -> Self {
        Self { skip: 0, head: [0; HEADER + CODE], have: 0 }
    }

    /// Calls `each` with the frames whose heads end in these bytes.
    fn follow(&mut self, mut bytes: &[u8], mut each: impl FnMut(&Frame)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let wanted = self.wanted();
            let more = (wanted - self.have).min(bytes.len());
            self.head[self.have..self.have + more].copy_from_slice(&bytes[..more]);
            self.have += more;
            bytes = &bytes[more..];
            if self.have < wanted {
                return;
            }
            if self.wanted() > self.have {
                continue;
            }
            let [high, mid, low, kind, flags, ..] = self.head;
            let length = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
            let mut code = 0;
            if self.have > HEADER {
                let [.., a, b, c, d] = self.head;
                code = u32::from_be_bytes([a, b, c, d]);
            }
            self.skip = length - (self.have - HEADER);
            self.have = 0;
            each(&Frame { kind, flags, length, code });
        }
    }

    /// How many bytes of the head are looked at.
    fn wanted(&self) -> usize {
        let [high, mid, low, kind, ..] = self.head;
        let is_reset = self.have >= HEADER && kind == RST_STREAM;
        // One of another length ends the connection.
        if is_reset && (high, mid, usize::from(low)) == (0, 0, CODE) {
            HEADER + CODE
        } else {
            HEADER
        }
    }
}

/// What the frames of a connection cost.
#[derive(Debug)]
struct Costs {
    received: Frames,
    sent: Frames,
    /// How many `WINDOW_UPDATE` frames it has yet to send for the DATA that it got.
    window_credit: u32,
    /// How many PING frames it may send for the same.
    ping_credit: u32,
}

impl Costs {
    fn new() -> Self {
        Self {
            received: Frames::received(),
            sent: Frames::sent(),
            window_credit: 0,
            ping_credit: 0,
        }
    }

    /// Of what was read.
    fn of_received(&mut self, bytes: &[u8]) -> f64 {
        let (mut cost, credit, pings) = (0.0, &mut self.window_credit, &mut self.ping_credit);
        self.received.follow(bytes, |frame| {
            cost += match frame.kind {
                RST_STREAM => COST_OF_RESET,
                // Bounded by the requests that run at once, and by what they may send.
                HEADERS => 0.0,
                DATA if frame.length > 0 || frame.flags & END_STREAM != 0 => 0.0,
                WINDOW_UPDATE if *credit > 0 => {
                    *credit -= 1;
                    0.0
                }
                // Clients measure their round trips by them while they receive (grpc's BDP estimator).
                PING if *pings > 0 => {
                    *pings -= 1;
                    0.0
                }
                // Known or not.
                _ => 1.0,
            };
        });
        cost
    }

    /// Of what was written.
    fn of_sent(&mut self, bytes: &[u8]) -> f64 {
        let (mut cost, credit, pings) = (0.0, &mut self.window_credit, &mut self.ping_credit);
        self.sent.follow(bytes, |frame| match frame.kind {
            DATA => {
                *credit = (*credit + WINDOW_UPDATES_PER_DATA).min(MAX_WINDOW_CREDIT);
                *pings = (*pings + 1).min(MAX_WINDOW_CREDIT);
            }
            RST_STREAM if CODES_OF_CLIENTS.contains(&frame.code) => cost += COST_OF_RESET,
            _ => {}
        });
        cost
    }
}

/// A bucket that holds what may come in two seconds.
#[derive(Debug)]
struct Budget {
    per_sec: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    fn new(per_sec: u32) -> Self {
        let per_sec = f64::from(per_sec);
        Self { per_sec, left: 2.0 * per_sec, at: Instant::now() }
    }

    fn pays(&mut self, cost: f64, now: Instant) -> bool {
        let gained = (now - self.at).as_secs_f64() * self.per_sec;
        self.left = (self.left + gained).min(2.0 * self.per_sec) - cost;
        self.at = now;
        self.left >= 0.0
    }
}

impl Wraps for Metered {
    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Polled {
        // Within a header block there are none, and its time runs.
        if !self.blocks.is_unfinished() && !self.memory.takes_uploads(cx) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        self.blocks.hand_over(buffer);
        while buffer.filled().len() == before && buffer.remaining() > 0 {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let read = &buffer.filled()[before..];
            if read.is_empty() {
                break;
            }
            let cost = self.costs.of_received(read);
            self.pay(cost)?;
            let passed = self.blocks.follow(read)?;
            buffer.set_filled(before + passed);
            self.blocks.hand_over(buffer);
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Polled<usize> {
        let written = ready!(send_to(&mut self.stream, cx, slices))?;
        let (mut left, mut cost) = (written, 0.0);
        for slice in slices {
            let part = left.min(slice.len());
            cost += self.costs.of_sent(&slice[..part]);
            left -= part;
        }
        self.pay(cost)?;
        Poll::Ready(Ok(written))
    }
}

wraps!(Metered: Stream);
pass_through!(Metered);

impl GetProxyDigest for Metered {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER + payload, 0xff);
        frame
    }

    const SETTINGS: u8 = 0x4;
    const UNKNOWN: u8 = 0x16;

    fn sum(bytes: &[u8], size: usize, mut cost: impl FnMut(&[u8]) -> f64) -> f64 {
        bytes.chunks(size).map(&mut cost).sum()
    }

    #[test]
    fn frames_are_found_wherever_reads_are_cut() {
        let bytes = [
            vec![b'P'; PREFACE],
            frame(SETTINGS, 0, 12),
            frame(HEADERS, 0x4, 300),
            frame(PING, 0, 8),
            frame(DATA, 0, 0),
            frame(DATA, END_STREAM, 0),
            frame(DATA, 0, 70_000),
            frame(RST_STREAM, 0, 4),
            frame(WINDOW_UPDATE, 0, 4),
            frame(UNKNOWN, 0, 100),
            frame(UNKNOWN, 0, 0),
        ]
        .concat();
        for size in [1, 2, 7, 9, 10, 1000, bytes.len()] {
            let mut costs = Costs::new();
            let cost = sum(&bytes, size, |piece| costs.of_received(piece));
            assert!((cost - 16.0).abs() < f64::EPSILON, "{size}: {cost}");
        }
    }

    #[test]
    fn a_window_is_opened_for_free_by_who_has_received_something() {
        let updates = [frame(WINDOW_UPDATE, 0, 4), frame(WINDOW_UPDATE, 0, 4)].concat();
        let mut costs = Costs::new();
        costs.received.skip = 0;
        assert!(costs.of_received(&updates) > 1.0);
        assert!(costs.of_sent(&frame(DATA, 0, 100)) <= 0.0);
        assert!(costs.of_received(&updates) <= 0.0);
        assert!(costs.of_received(&updates) <= 0.0);
        assert!(costs.of_received(&updates) > 1.0);
        // And may measure its round trip once.
        assert!(costs.of_received(&frame(PING, 0, 8)) <= 0.0);
        assert!(costs.of_received(&frame(PING, 0, 8)) >= 1.0);
    }

    #[test]
    fn resets_cost_that_a_client_has_provoked() {
        let reset = |code: u32| {
            let mut reset = frame(RST_STREAM, 0, CODE);
            reset.splice(HEADER.., code.to_be_bytes());
            reset
        };
        for (code, cost) in [(0x0, 0.0), (0x2, 0.0), (0x8, 0.0), (0x3, 10.0), (0x7, 10.0)] {
            for size in [1, 5, 10, 100] {
                let mut costs = Costs::new();
                let bytes = [frame(HEADERS, 0, 30), reset(code), frame(DATA, 0, 0)].concat();
                let paid = sum(&bytes, size, |piece| costs.of_sent(piece));
                assert!((paid - cost).abs() < f64::EPSILON, "{code} in pieces of {size}: {paid}");
            }
        }
    }

    #[test]
    fn a_budget_holds_two_seconds_and_comes_back() {
        let mut budget = Budget::new(10);
        let start = budget.at;
        assert!(budget.pays(20.0, start));
        assert!(!budget.pays(1.0, start));
        assert!(budget.pays(10.0, start + Duration::from_secs(2)));
    }
}
