//! How large a request's body may be, and how slow.

use std::time::{Duration, Instant};

use crate::heads::RequestHead;
use crate::heads::names::CONTENT_LENGTH;
use crate::model::Reason;
use crate::proxy::options::RequestLimits;

/// A piece of this size did not wait for a slow client, but for us: what comes slowly is small.
const FULL_PIECE: usize = 8 * 1024;

/// Whether the request says that its body is larger than `most`.
pub(crate) fn declared_too_large(request: &RequestHead, most: u64) -> bool {
    request
        .headers
        .text(CONTENT_LENGTH)
        // Equal ones that were folded into a list are one.
        .and_then(|length| length.split(',').next())
        .and_then(|length| length.trim().parse::<u64>().ok())
        .is_some_and(|length| length > most)
}

/// Measures a body as it flows.
#[derive(Debug)]
pub(crate) struct BodyMeter {
    most: Option<u64>,
    bytes_per_sec: u32,
    grace: Duration,
    bytes: u64,
    /// Since when it has been slow, and what came since.
    slow_since: Instant,
    slow_bytes: u64,
}

impl BodyMeter {
    /// For a body of at most `most` bytes; `None` sets no bound.
    pub(crate) fn new(most: Option<u64>, limits: RequestLimits, is_grpc: bool) -> Self {
        // The messages of gRPC may be far apart.
        let bytes_per_sec = if is_grpc { 0 } else { limits.body_bytes_per_sec };
        let (bytes, slow_bytes, slow_since) = (0, 0, Instant::now());
        Self { most, bytes_per_sec, grace: limits.body_grace, bytes, slow_since, slow_bytes }
    }

    /// From now on it may take its time: its answer has begun.
    pub(crate) fn may_be_slow(&mut self) {
        self.bytes_per_sec = 0;
    }

    /// Takes the next piece; says why no more should follow.
    pub(crate) fn take(&mut self, piece: usize, is_last: bool) -> Option<Reason> {
        self.take_at(piece, is_last, Instant::now)
    }

    fn take_at(
        &mut self,
        piece: usize,
        is_last: bool,
        now: impl FnOnce() -> Instant,
    ) -> Option<Reason> {
        self.bytes += piece as u64;
        if self.most.is_some_and(|most| self.bytes > most) {
            return Some(Reason::BodyTooLarge);
        }
        if self.bytes_per_sec == 0 || is_last {
            return None;
        }
        if piece >= FULL_PIECE {
            (self.slow_since, self.slow_bytes) = (now(), 0);
            return None;
        }
        self.slow_bytes += piece as u64;
        let slow = (now() - self.slow_since).checked_sub(self.grace)?;
        let least = slow.as_secs_f64() * f64::from(self.bytes_per_sec);
        #[expect(clippy::cast_precision_loss, reason = "it is compared with an estimate")]
        let came = self.slow_bytes as f64;
        (came < least).then_some(Reason::BodyTimeout)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        headers: 1,
        uri_bytes: 1,
        body_bytes_per_sec: 100,
        body_grace: Duration::from_secs(10),
    };

    #[test]
    fn a_body_has_its_size_in_all() {
        let mut meter = BodyMeter::new(Some(10), LIMITS, false);
        assert_eq!(meter.take(10, false), None);
        assert_eq!(meter.take(0, true), None);
        assert_eq!(meter.take(1, true), Some(Reason::BodyTooLarge));
    }

    #[test]
    fn a_dripping_body_is_cut_off_after_its_grace_and_others_never() {
        let run = |piece: usize, every: u64, may_be_slow: bool| {
            let mut meter = BodyMeter::new(None, LIMITS, false);
            if may_be_slow {
                meter.may_be_slow();
            }
            let start = meter.slow_since;
            (1..=100).find(|n| {
                let now = start + Duration::from_secs(every * n);
                meter.take_at(piece, false, || now).is_some()
            })
        };
        assert_eq!(run(1, 1, false), Some(11));
        assert_eq!(run(100, 1, false), None, "as fast as it must be");
        assert_eq!(run(50, 1, false), Some(21), "the grace counts once");
        assert_eq!(run(FULL_PIECE, 60, false), None, "such a client waited for us");
        assert_eq!(run(1, 1, true), None);
    }

    #[test]
    fn what_is_grpc_may_be_slow() {
        for is_grpc in [true, false] {
            let mut meter = BodyMeter::new(None, LIMITS, is_grpc);
            let later = meter.slow_since + Duration::from_mins(1);
            assert_eq!(meter.take_at(1, false, || later).is_none(), is_grpc);
        }
    }

    #[test]
    fn a_declared_length_is_read_as_the_parser_does() {
        let mut request = RequestHead::new(Method::POST, b"/");
        assert!(!declared_too_large(&request, 0));
        request.headers.append(CONTENT_LENGTH, "11, 11");
        assert!(declared_too_large(&request, 10) && !declared_too_large(&request, 11));
    }
}
