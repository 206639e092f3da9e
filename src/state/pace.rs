//! How fast a backend answers, and since when it serves.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How fast what was observed is forgotten: after so long, about a third of it counts.
const MEMORY_MS: f64 = 10_000.0;

/// What is observed of one backend's pace. Written by every answer, without a lock.
#[derive(Debug)]
pub struct Pace {
    /// The mean time until an answer begins, in microseconds, in the upper half; when it was noted, in
    /// the lower. Both in one word, so that they agree.
    mean: AtomicU64,
    /// When it began to serve; 0 is before anybody looked.
    since: AtomicU32,
}

impl Pace {
    pub(super) fn new(serves: bool) -> Self {
        Self { mean: AtomicU64::new(0), since: AtomicU32::new(if serves { now_ms() } else { 0 }) }
    }

    /// Notes how long a backend took until its answer began. What is slower than the mean counts at
    /// once and in full, what is faster bit by bit: so a backend that stalls is left quickly.
    pub fn note(&self, took: Duration) {
        self.note_at(took, now_ms());
    }

    fn note_at(&self, took: Duration, now: u32) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let next = |word| {
            let mean = mean_at(word, now);
            let old = share_left(word, now).min(0.9);
            let mean = f64::from(took).max(mean * old + f64::from(took) * (1.0 - old));
            Some(pack(mean, now))
        };
        // Never an error: the closure always has a value.
        let _ = self.mean.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// The mean time until an answer begins, in microseconds. It fades: a backend that was slow is
    /// asked again after a while.
    pub fn mean_micros(&self) -> f64 {
        mean_at(self.mean.load(Ordering::Relaxed), now_ms())
    }

    /// It has begun to serve, or to serve again.
    pub(super) fn begins_to_serve(&self) {
        self.since.store(now_ms(), Ordering::Relaxed);
    }

    /// The share of its traffic that it should have, 0 to 1, when that grows for `slow_start`.
    pub fn share(&self, slow_start: Duration) -> f32 {
        if slow_start.is_zero() {
            return 1.0;
        }
        let served =
            Duration::from_millis(now_ms().wrapping_sub(self.since.load(Ordering::Relaxed)).into());
        (served.as_secs_f32() / slow_start.as_secs_f32()).min(1.0)
    }
}

fn pack(mean: f64, at: u32) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let mean = mean as u32;
    u64::from(mean) << 32 | u64::from(at)
}

fn mean_at(word: u64, now: u32) -> f64 {
    let mean = (word >> 32) as u32;
    f64::from(mean) * share_left(word, now)
}

/// How much of what was noted counts still.
fn share_left(word: u64, now: u32) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let at = word as u32;
    let since = now.wrapping_sub(at);
    // Another thread may have looked at the clock later and noted before.
    if since > u32::MAX / 2 { 1.0 } else { (-f64::from(since) / MEMORY_MS).exp() }
}

/// Milliseconds since the process started to look, and then never 0; comes round after 49 days.
fn now_ms() -> u32 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    #[expect(clippy::cast_possible_truncation, reason = "it comes round")]
    let ms = START.elapsed().as_millis() as u32;
    ms.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_answers_count_at_once_and_fade() {
        let pace = Pace::new(true);
        let mean = |now| mean_at(pace.mean.load(Ordering::Relaxed), now);
        pace.note_at(Duration::from_millis(10), 1000);
        assert!((mean(1000) - 10_000.0).abs() < 1.0);
        pace.note_at(Duration::from_millis(100), 1000);
        assert!((mean(1000) - 100_000.0).abs() < 1.0, "a peak counts in full");
        pace.note_at(Duration::from_millis(10), 1000);
        assert!((90_000.0..92_000.0).contains(&mean(1000)), "{}", mean(1000));
        assert!(mean(31_000) < 5_000.0, "a slow backend is asked again after a while");
        assert!((mean(999) - mean(1000)).abs() < 1.0, "clocks of two threads may cross");
    }

    #[test]
    fn a_share_grows_until_it_is_whole() {
        let pace = Pace::new(false);
        pace.begins_to_serve();
        assert!(pace.share(Duration::from_secs(1000)) < 0.1);
        assert!((pace.share(Duration::ZERO) - 1.0).abs() < f32::EPSILON);
    }
}
