//! Connections that are kept for a further request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::atomic::AtomicCell;

use super::Link;

/// Places in one word.
const WORD: usize = 64;

/// Words of places.
const WORDS: usize = 4;

/// So many stay for as long as they may.
const FEW: usize = 16;

/// For how long the others stay that nobody wants.
const SURPLUS: Duration = Duration::from_secs(3);

/// What becomes of a connection that was looked at.
enum Look {
    Take,
    Leave,
    Close,
}

/// Connections with one backend that are kept for a further request: a bounded number, and no lock. Who
/// looks for one finds those first that were used last, so that what is too many grows old.
pub struct Kept {
    places: Box<[AtomicCell<Option<Box<Link>>>]>,
    /// Places that hold one: who takes the bit has what is in the place.
    full: [AtomicU64; WORDS],
    /// Places that hold none: who takes the bit may fill the place.
    free: [AtomicU64; WORDS],
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            places: (0..WORDS * WORD).map(|_| AtomicCell::new(None)).collect(),
            full: std::array::from_fn(|_| AtomicU64::new(0)),
            free: std::array::from_fn(|_| AtomicU64::new(u64::MAX)),
        }
    }
}

impl Kept {
    /// Keeps a connection; one that there is no place for is closed.
    pub fn put(&self, link: Box<Link>) {
        if let Some(place) = claim(&self.free, 0) {
            self.places[place].store(Some(link));
            release(&self.full, place);
        }
    }

    /// A kept connection that fits and is good now; those that fit and are good no more are closed on the
    /// way.
    pub fn take(&self, now: Instant, fits: impl Fn(&Link) -> bool) -> Option<Box<Link>> {
        self.look(|link| {
            if !fits(link) {
                Look::Leave
            } else if link.is_good(now) {
                Look::Take
            } else {
                Look::Close
            }
        })
    }

    /// Closes those that are good no more, and, beyond a few, those that nobody has wanted lately: to
    /// some backends each connection is a worker that does nothing else.
    pub fn sweep(&self, now: Instant) {
        let mut left = 0;
        let _ = self.look(|link| {
            if !link.is_good(now) || (left >= FEW && link.rested(now) >= SURPLUS) {
                return Look::Close;
            }
            left += 1;
            Look::Leave
        });
    }

    /// Looks at one after the other until one is taken.
    fn look(&self, mut judge: impl FnMut(&mut Link) -> Look) -> Option<Box<Link>> {
        let mut from = 0;
        while let Some(place) = claim(&self.full, from) {
            let found = self.places[place].take();
            match found.map(|mut link| (judge(&mut link), link)) {
                Some((Look::Take, link)) => {
                    release(&self.free, place);
                    return Some(link);
                }
                Some((Look::Leave, link)) => {
                    self.places[place].store(Some(link));
                    release(&self.full, place);
                }
                Some((Look::Close, _)) | None => release(&self.free, place),
            }
            from = place + 1;
        }
        None
    }

    /// Closes all.
    pub fn close(&self) {
        while let Some(place) = claim(&self.full, 0) {
            drop(self.places[place].take());
            release(&self.free, place);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let count = |word: &AtomicU64| word.load(Ordering::Relaxed).count_ones() as usize;
        self.full.iter().map(count).sum()
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// Takes the first bit that is set, of those from `from` on.
fn claim(words: &[AtomicU64; WORDS], from: usize) -> Option<usize> {
    for (index, word) in words.iter().enumerate().skip(from / WORD) {
        let mask = if index == from / WORD { u64::MAX << (from % WORD) } else { u64::MAX };
        let mut bits = word.load(Ordering::Relaxed) & mask;
        while bits != 0 {
            let bit = bits & bits.wrapping_neg();
            if word.fetch_and(!bit, Ordering::AcqRel) & bit != 0 {
                return Some(index * WORD + bit.trailing_zeros() as usize);
            }
            bits = word.load(Ordering::Relaxed) & mask;
        }
    }
    None
}

fn release(words: &[AtomicU64; WORDS], place: usize) {
    words[place / WORD].fetch_or(1 << (place % WORD), Ordering::AcqRel);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;

    use super::super::Transport;
    use super::*;

    /// A connection of this group, and its other end.
    fn link(group: u64) -> (Box<Link>, tokio::net::UnixStream) {
        let (near, far) = tokio::net::UnixStream::pair().expect("a pair of sockets");
        let mut link = Box::new(Link::new(Transport::Unix(near), group, None));
        link.rest(Duration::from_mins(1), Instant::now());
        (link, far)
    }

    #[tokio::test]
    async fn one_that_is_good_is_found_and_others_are_closed_on_the_way() {
        let (kept, now) = (Kept::default(), Instant::now());
        let ((one, far_one), (two, mut far_two), (three, _far_three)) = (link(1), link(2), link(3));
        for link in [one, two, three] {
            kept.put(link);
        }
        drop(far_one);
        far_two.write_all(b"unasked").await.unwrap();
        // Readiness comes with a turn of the runtime.
        while kept.count() > 1 {
            kept.sweep(now);
            tokio::task::yield_now().await;
        }
        assert!(kept.take(now, |link| link.group == 1).is_none());
        assert_eq!(kept.count(), 1, "what does not fit stays");
        assert_eq!(kept.take(now, |_| true).expect("one is good").group, 3);
        assert!(kept.take(now, |_| true).is_none());
    }

    #[tokio::test]
    async fn what_is_too_old_or_too_much_is_closed() {
        let (kept, now) = (Kept::default(), Instant::now());
        let far: Vec<_> = (0..300)
            .map(|group| {
                let (link, far) = link(group);
                kept.put(link);
                far
            })
            .collect();
        assert_eq!(kept.count(), WORDS * WORD);
        assert_eq!(kept.take(now, |_| true).expect("there is one").group, 0);
        kept.sweep(now + Duration::from_secs(2));
        assert_eq!(kept.count(), WORDS * WORD - 1);
        kept.sweep(now + Duration::from_secs(4));
        assert_eq!(kept.count(), FEW);
        kept.sweep(now + Duration::from_secs(59));
        assert_eq!(kept.count(), FEW);
        kept.sweep(now + Duration::from_secs(61));
        assert_eq!(kept.count(), 0);
        drop(far);
    }

    #[test]
    fn none_is_had_twice_and_none_is_lost() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let _inside = runtime.enter();
        let kept = Arc::new(Kept::default());
        let far: Vec<_> = (0..8)
            .map(|group| {
                let (link, far) = link(group);
                kept.put(link);
                far
            })
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (kept, handle) = (Arc::clone(&kept), runtime.handle().clone());
                scope.spawn(move || {
                    let _inside = handle.enter();
                    for turn in 0..5000_u64 {
                        if let Some(link) = kept.take(Instant::now(), |l| l.group >= turn % 8) {
                            kept.put(link);
                        }
                    }
                });
            }
        });
        let mut groups: Vec<_> =
            std::iter::from_fn(|| kept.take(Instant::now(), |_| true)).map(|l| l.group).collect();
        groups.sort_unstable();
        assert_eq!(groups, (0..8).collect::<Vec<_>>());
        drop(far);
    }
}
