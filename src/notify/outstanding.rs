//! What a target has not got yet, and how far it has come in the history. Pure.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::message::{Message, Step};
use super::places::Place;

/// The most messages that wait for a target beside the one that is being delivered.
pub(super) const MAX_WAITING: usize = 256;

/// The messages of a target that are still to be delivered.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// All events up to this one were looked at.
    seen: u64,
    /// Events that had not ended when they were looked at: each comes once more.
    open: BTreeSet<u64>,
    current: Option<Arc<Item>>,
    waiting: VecDeque<Arc<Item>>,
    is_dropping: bool,
}

/// A message of a target.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) message: Arc<Message>,
    /// When it was queued.
    pub(super) since: Instant,
    /// Whether it is the second message of an event.
    is_end: bool,
}

/// What became of a message that was to be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    /// It waits.
    Waits,
    /// It waits, and the oldest was dropped: the first of several, or a further one.
    Dropped {
        /// Whether none was dropped before it.
        is_first: bool,
    },
    /// The target has it, or will get it, already.
    Known,
}

impl Outstanding {
    /// Goes on from a place; nothing is newer than `newest`.
    pub(super) fn from(place: Place, newest: u64) -> Self {
        // The state may be an older one, from a backup.
        let seen = place.after.min(newest);
        let open = place.open.into_iter().filter(|number| *number <= seen).collect();
        Self { seen, open, current: None, waiting: VecDeque::new(), is_dropping: false }
    }

    /// Takes note of an event; `message` where the target wants it.
    pub(super) fn offer(&mut self, step: Step, message: Option<&Arc<Message>>) -> Queued {
        let is_end = !step.is_open && self.open.remove(&step.number);
        if !is_end && step.number <= self.seen {
            return Queued::Known;
        }
        self.seen = self.seen.max(step.number);
        let Some(message) = message else { return Queued::Known };
        if step.is_open {
            self.open.insert(step.number);
        }
        if self.open.len() > MAX_WAITING {
            self.open.pop_first();
        }
        self.queue(message, is_end)
    }

    /// Queues what is not in the history.
    pub(super) fn push(&mut self, message: &Arc<Message>) -> Queued {
        self.queue(message, false)
    }

    /// The next message to deliver.
    pub(super) fn take(&mut self) -> Option<Arc<Item>> {
        if self.current.is_none() {
            self.current = self.waiting.pop_front();
        }
        self.current.clone()
    }

    /// The message that was taken is delivered, or never will be.
    pub(super) fn finish(&mut self) {
        self.current = None;
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }

    /// From where all that is still to be delivered would be found again.
    pub(super) fn place(&self) -> Place {
        let steps = || {
            let items = self.current.iter().chain(&self.waiting);
            items.filter_map(|item| Some((item.message.step?.number, item.is_end)))
        };
        let oldest = steps().filter(|(_, is_end)| !is_end).map(|(number, _)| number).min();
        let after = oldest.map_or(self.seen, |number| number.saturating_sub(1));
        let ends = steps().filter(|(_, is_end)| *is_end).map(|(number, _)| number);
        let open = self.open.iter().copied().chain(ends).filter(|number| *number <= after);
        Place { after, open: open.collect() }
    }

    fn queue(&mut self, message: &Arc<Message>, is_end: bool) -> Queued {
        let message = Arc::clone(message);
        self.waiting.push_back(Arc::new(Item { message, since: Instant::now(), is_end }));
        if self.waiting.len() <= MAX_WAITING {
            // The moment at which it was full is over once there is room for some.
            self.is_dropping &= self.waiting.len() > MAX_WAITING / 2;
            return Queued::Waits;
        }
        self.waiting.pop_front();
        Queued::Dropped { is_first: !std::mem::replace(&mut self.is_dropping, true) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::NotifyKind;
    use crate::notify::payload::Payload;

    fn message(number: u64, is_open: bool) -> Arc<Message> {
        let payload = Payload { event: "switch", body: Bytes::new() };
        let step = Some(Step { number, is_open });
        Arc::new(Message { kind: NotifyKind::Switch, payload, step })
    }

    fn offer(to: &mut Outstanding, number: u64, is_open: bool) -> Queued {
        let message = message(number, is_open);
        to.offer(message.step.unwrap(), Some(&message))
    }

    fn place(after: u64, open: &[u64]) -> Place {
        Place { after, open: open.to_vec() }
    }

    #[test]
    fn the_place_is_before_all_that_is_to_be_delivered() {
        let mut of = Outstanding::from(place(5, &[]), 5);
        assert_eq!(offer(&mut of, 5, false), Queued::Known);
        assert_eq!(of.offer(Step { number: 6, is_open: false }, None), Queued::Known);
        assert_eq!(of.place(), place(6, &[]), "what it does not want is passed over");
        assert_eq!(offer(&mut of, 8, false), Queued::Waits);
        assert_eq!(offer(&mut of, 10, false), Queued::Waits);
        of.offer(Step { number: 12, is_open: false }, None);
        assert_eq!((of.place(), of.len()), (place(7, &[]), 2));
        assert_eq!(of.take().unwrap().message.step.unwrap().number, 8);
        assert_eq!(of.place(), place(7, &[]), "it is not delivered yet");
        of.finish();
        assert_eq!(of.place(), place(9, &[]));
        of.take();
        of.finish();
        assert_eq!((of.place(), of.take().is_none()), (place(12, &[]), true));
    }

    #[test]
    fn a_switch_that_drains_comes_again_at_its_end_also_after_a_restart() {
        let mut of = Outstanding::from(place(0, &[]), 0);
        offer(&mut of, 1, true);
        assert_eq!(of.place(), place(0, &[]));
        of.take();
        of.finish();
        assert_eq!(of.place(), place(1, &[1]));
        let mut again = Outstanding::from(of.place(), 9);
        for of in [&mut of, &mut again] {
            assert_eq!(offer(of, 1, true), Queued::Known);
            assert_eq!(offer(of, 1, false), Queued::Waits);
            assert_eq!(offer(of, 1, false), Queued::Known);
            assert_eq!(of.place(), place(1, &[1]), "its end is not delivered yet");
            of.take();
            of.finish();
            assert_eq!(of.place(), place(1, &[]));
        }
    }

    #[test]
    fn the_oldest_are_dropped_when_too_many_wait() {
        let mut of = Outstanding::from(place(0, &[]), 0);
        offer(&mut of, 1, false);
        of.take();
        for number in 2..=257 {
            assert_eq!(offer(&mut of, number, false), Queued::Waits);
        }
        assert_eq!(offer(&mut of, 258, false), Queued::Dropped { is_first: true });
        assert_eq!(offer(&mut of, 259, false), Queued::Dropped { is_first: false });
        assert_eq!(of.len(), MAX_WAITING + 1);
        of.finish();
        assert_eq!(of.take().unwrap().message.step.unwrap().number, 4);
        assert_eq!(of.place(), place(3, &[]));
        of.finish();
        offer(&mut of, 260, false);
        assert_eq!(offer(&mut of, 261, false), Queued::Dropped { is_first: false }, "still full");
        for _ in 0..200 {
            of.take();
            of.finish();
        }
        for number in 262..=461 {
            assert_eq!(offer(&mut of, number, false), Queued::Waits, "{number}");
        }
        assert_eq!(offer(&mut of, 462, false), Queued::Dropped { is_first: true });
    }

    #[test]
    fn an_older_state_does_not_silence_a_target() {
        let mut of = Outstanding::from(place(100, &[90]), 7);
        assert_eq!(of.place(), place(7, &[]));
        assert_eq!(offer(&mut of, 8, false), Queued::Waits);
    }
}
