//! Frames of HTTP/2 that cost and carry nothing: how many a connection may send.
//!
//! The h2 crate bounds what they take in memory: CONTINUATION by the header list, resets that were not
//! accepted yet, one PING and one SETTINGS at a time. It answers them as fast as they come, though, and
//! a stream that is accepted and reset at once is a request to a backend. So the frames are counted
//! below it, as they are read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::header_blocks::HeaderBlocks;

const HEADER: usize = 9;
const PREFACE: usize = 24;

/// Types of frames (RFC 9113 §6).
const DATA: u8 = 0x0;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const CONTINUATION: u8 = 0x9;

/// The flag of DATA that ends a stream: an empty one that does carries news.
const END_STREAM: u8 = 0x1;

/// A reset may have cost a request to a backend.
const COST_OF_RESET: f64 = 10.0;

/// Set once a connection was ended for its frames.
pub(in crate::proxy) type Flooded = Arc<AtomicBool>;

/// A connection of HTTP/2 that ends when it sends too many such frames.
#[derive(Debug)]
pub(in crate::proxy) struct Metered {
    stream: Stream,
    frames: Frames,
    budget: Budget,
    flooded: Flooded,
    blocks: HeaderBlocks,
}

impl Metered {
    pub(in crate::proxy) fn new(
        stream: Stream,
        per_sec: u32,
        blocks: HeaderBlocks,
    ) -> (Self, Flooded) {
        let flooded = Flooded::default();
        let budget = Budget::new(per_sec);
        let (frames, noted) = (Frames::default(), Arc::clone(&flooded));
        let metered = Self { stream, frames, budget, flooded: noted, blocks };
        (metered, flooded)
    }
}

/// Finds the heads of frames in what is read.
#[derive(Debug)]
struct Frames {
    /// Bytes until the next head begins.
    skip: usize,
    head: [u8; HEADER],
    /// How much of it is there.
    have: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self { skip: PREFACE, head: [0; HEADER], have: 0 }
    }
}

impl Frames {
    /// What the frames cost whose heads end in these bytes.
    fn cost(&mut self, mut bytes: &[u8]) -> f64 {
        let mut cost = 0.0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let more = (HEADER - self.have).min(bytes.len());
            if more == 0 {
                return cost;
            }
            self.head[self.have..self.have + more].copy_from_slice(&bytes[..more]);
            self.have += more;
            bytes = &bytes[more..];
            if self.have == HEADER {
                self.have = 0;
                let [high, mid, low, kind, flags, ..] = self.head;
                self.skip = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
                cost += match kind {
                    RST_STREAM => COST_OF_RESET,
                    PRIORITY | SETTINGS | PING | CONTINUATION => 1.0,
                    DATA if self.skip == 0 && flags & END_STREAM == 0 => 1.0,
                    _ => 0.0,
                };
            }
        }
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

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            let cost = this.frames.cost(&buffer.filled()[before..]);
            if cost > 0.0 && !this.budget.pays(cost, Instant::now()) {
                this.flooded.store(true, Ordering::Relaxed);
                return Poll::Ready(Err(io::Error::other("too many frames that carry nothing")));
            }
            this.blocks.follow(&mut buffer.filled_mut()[before..])?;
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Metered {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl UniqueID for Metered {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

// What a connection says of itself is asked before it is metered.
impl Ssl for Metered {}
impl Peek for Metered {}

impl GetTimingDigest for Metered {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Metered {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Metered {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
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

    #[test]
    fn frames_are_found_wherever_reads_are_cut() {
        let bytes = [
            vec![b'P'; PREFACE],
            frame(SETTINGS, 0, 12),
            frame(0x1, 0x4, 300),
            frame(PING, 0, 8),
            frame(DATA, 0, 0),
            frame(DATA, END_STREAM, 0),
            frame(DATA, 0, 70_000),
            frame(RST_STREAM, 0, 4),
            frame(0x8, 0, 4),
        ]
        .concat();
        for size in [1, 2, 7, 9, 10, 1000, bytes.len()] {
            let mut frames = Frames::default();
            let cost: f64 = bytes.chunks(size).map(|piece| frames.cost(piece)).sum();
            assert!((cost - 13.0).abs() < f64::EPSILON, "{size}: {cost}");
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
