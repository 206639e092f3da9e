//! What one request holds of its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use bytes::Bytes;

use super::budget::Budget;

/// What a request may hold, however much room there is: enough to have the next pieces ready while some
/// are written.
const MAX_HELD: usize = 512 * 1024;

/// Whoever waits to read more is woken when no more than this is held. Another thread writes what is
/// held, and to be woken by it for each piece costs more than the piece.
const WAKE_AT: usize = MAX_HELD / 2;

/// A last piece up to this size is not counted: it leaves at once or with its request.
const UNCOUNTED: usize = 4 * 1024;

/// What one request holds of its answer, and who waits for it to hold less.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    /// Bytes that were read and have not been seen as a body yet. Whoever takes one piece of a body out
    /// of Pingora's queue takes all, so this begins anew with each.
    unseen: AtomicUsize,
    /// Bytes of the body that somebody still has.
    held: AtomicUsize,
    reader: AtomicWaker,
}

impl Account {
    pub(crate) fn open(budget: Arc<Budget>) -> Arc<Self> {
        budget.begin_stream();
        let (unseen, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { budget, unseen, held, reader: AtomicWaker::new() })
    }

    /// How many bytes may be read now; where none may, `cx` is woken when that has changed.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<usize> {
        if let Some(room) = self.room() {
            return Poll::Ready(room);
        }
        self.reader.register(cx.waker());
        // What was given back meanwhile woke nobody.
        self.room().map_or(Poll::Pending, Poll::Ready)
    }

    /// A request that holds nothing may always read, so that each goes on by itself: whoever waits here
    /// waits for bytes of its own.
    fn room(&self) -> Option<usize> {
        let piece = self.budget.piece();
        let unseen = self.unseen.load(Ordering::Acquire);
        let left = piece.checked_sub(unseen).filter(|left| *left > 0)?;
        let held = self.held.load(Ordering::Acquire);
        let may = held == 0 || (held < MAX_HELD && self.budget.has_room());
        // What little came before takes nothing away from a large read.
        may.then_some(if left >= piece / 2 { piece } else { left })
    }

    /// Whether the backend is not read because the client has not taken what was.
    pub(crate) fn is_full(&self) -> bool {
        self.room().is_none()
    }

    pub(super) fn note_read(&self, bytes: usize) {
        self.unseen.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Lets whoever waits look again.
    pub(super) fn wake(&self) {
        self.reader.wake();
    }

    /// A piece of the answer's body goes on to the client: it is counted until it has left.
    pub(crate) fn pass(self: &Arc<Self>, body: &mut Option<Bytes>, is_last: bool) {
        if self.unseen.swap(0, Ordering::AcqRel) > 0 {
            self.reader.wake();
        }
        if let Some(bytes) = body.take_if(|bytes| bytes.len() > if is_last { UNCOUNTED } else { 0 })
        {
            *body = Some(self.hold(bytes));
        }
    }

    /// The same bytes, counted until the last copy is dropped.
    pub(crate) fn hold(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.held.fetch_add(bytes.len(), Ordering::AcqRel);
        self.budget.add(bytes.len());
        Bytes::from_owner(HeldAnswer { bytes, account: Arc::clone(self) })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.end_stream();
    }
}

/// A piece of an answer that has not left.
struct HeldAnswer {
    bytes: Bytes,
    account: Arc<Account>,
}

impl AsRef<[u8]> for HeldAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for HeldAnswer {
    fn drop(&mut self) {
        let before = self.account.held.fetch_sub(self.bytes.len(), Ordering::AcqRel);
        self.account.budget.remove(self.bytes.len());
        if before - self.bytes.len() <= WAKE_AT {
            self.account.reader.wake();
        }
    }
}

/// A piece of a request's body that has not gone on.
pub(crate) struct Held {
    bytes: Bytes,
    budget: Arc<Budget>,
}

impl Held {
    /// The same bytes, counted until the last copy is dropped.
    pub(crate) fn upload(bytes: Bytes, budget: &Arc<Budget>) -> Bytes {
        budget.add_upload(bytes.len());
        Bytes::from_owner(Self { bytes, budget: Arc::clone(budget) })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.remove_upload(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::super::Budgets;
    use super::super::budget::tests::LIMITS;
    use super::*;
    use crate::counters::Metrics;
    use crate::proxy::options::MemoryLimits;

    fn account(limits: MemoryLimits, metrics: &Metrics) -> Arc<Account> {
        Account::open(Budgets::default().open(None, limits, metrics))
    }

    fn room(account: &Account) -> Option<usize> {
        poll_fn(|cx| account.poll_room(cx)).now_or_never()
    }

    #[test]
    fn a_backend_is_read_until_the_client_has_not_taken_what_was() {
        let metrics = Metrics::default();
        let account = account(LIMITS, &metrics);
        let mut kept = Vec::new();
        while let Some(bytes) = room(&account) {
            account.note_read(bytes);
            assert!(room(&account).is_none(), "it was not seen yet");
            let mut body = Some(Bytes::from(vec![b'x'; bytes]));
            account.pass(&mut body, false);
            kept.push(body.unwrap());
        }
        assert_eq!(kept.iter().map(Bytes::len).sum::<usize>(), MAX_HELD);
        assert_eq!(metrics.buffered.used(), MAX_HELD);
        let slice = kept[0].slice(..1);
        kept.remove(0);
        assert!(account.is_full(), "a part of it is a copy of all");
        drop(slice);
        assert!(room(&account).is_some());
        drop(kept);
        assert_eq!(metrics.buffered.used(), 0);
    }

    #[test]
    fn whoever_holds_nothing_goes_on_when_everything_is_used_up() {
        let metrics = Metrics::default();
        let limits = MemoryLimits { per_connection: 0, per_client: 0, in_all: 0, ..LIMITS };
        let account = account(limits, &metrics);
        let bytes = room(&account).expect("it holds nothing");
        account.note_read(bytes);
        let mut body = Some(Bytes::from(vec![b'x'; bytes]));
        account.pass(&mut body, false);
        assert!(room(&account).is_none());
        drop(body);
        assert_eq!(room(&account), Some(bytes));
    }

    #[test]
    fn a_small_last_piece_is_not_counted() {
        let metrics = Metrics::default();
        let account = account(LIMITS, &metrics);
        for (size, is_last, counted) in [(4096, true, 0), (4096, false, 4096), (4097, true, 4097)] {
            let mut body = Some(Bytes::from(vec![b'x'; size]));
            account.pass(&mut body, is_last);
            assert_eq!(metrics.buffered.used(), counted);
        }
    }

    #[test]
    fn request_bodies_are_counted_apart() {
        let metrics = Metrics::default();
        let account = account(LIMITS, &metrics);
        let takes = || poll_fn(|cx| Poll::Ready(account.budget.takes_uploads(cx))).now_or_never();
        let all = Bytes::from(vec![b'x'; LIMITS.per_connection]);
        let kept = Held::upload(all, &account.budget);
        assert_eq!(takes(), Some(true), "there is room for others' sake");
        assert!(room(&account).is_some(), "an answer to it may be what lets it go on");
        metrics.buffered.set_limit(LIMITS.per_connection);
        assert_eq!(takes(), Some(false));
        drop(kept);
        assert_eq!(takes(), Some(true));
        assert_eq!(metrics.buffered.used(), 0);
    }
}
