//! A queue that is fair between clients: clients take turns, the entries of one client keep their
//! order.
//!
//! A client that is alone may take all places. When there is none left for a client with fewer, the
//! client with the most loses its last one, so no client can keep others out. With many clients
//! that have one place each, groups (domains) are balanced in the same way.
//!
//! Behind a lock: whoever queues here waits anyway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ClientKey;
use super::lanes::Lanes;

/// A queue for a number of turns. An entry has a place while it waits and during its turn.
#[derive(Debug)]
pub struct Line {
    queue: Mutex<Queue>,
    taken: AtomicUsize,
}

/// The owner of a place.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    /// Whose it is.
    pub client: ClientKey,
    /// Any number that identifies the group, such as a domain's.
    pub group: u64,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// There is none left, and no client has more than its share.
    Full,
    /// It was lost to a client with fewer places.
    Displaced,
}

/// A place; dropping it leaves the queue and ends its turn.
#[derive(Debug)]
pub struct PlaceInLine {
    line: Arc<Line>,
    who: Who,
    id: u64,
    /// Gets a message at its turn, is closed if the place is lost; `None` after that.
    call: Option<oneshot::Receiver<()>>,
}

/// The order of turns: rounds of the client, then rounds of the group, then order of arrival.
type Rank = (u64, u64, u64);

#[derive(Debug, Default)]
struct Queue {
    /// Free turns.
    turns: usize,
    order: BTreeMap<Rank, Who>,
    clients: Lanes<ClientKey, Taken>,
    groups: Lanes<u64, (ClientKey, Rank)>,
    /// The rounds of the entry that was called last.
    called: (u64, u64),
    next: u64,
}

#[derive(Debug)]
struct Taken {
    rank: Rank,
    /// Calls it; `None` once it has its turn.
    call: Option<oneshot::Sender<()>>,
}

impl Line {
    /// A queue with this many turns at once.
    pub fn new(turns: usize) -> Self {
        let queue = Queue { turns, ..Queue::default() };
        Self { queue: Mutex::new(queue), taken: AtomicUsize::new(0) }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Takes one of `most` places.
    ///
    /// # Errors
    /// When there is none left, and no client has more than its share.
    pub fn join(self: &Arc<Self>, who: Who, most: usize) -> Result<PlaceInLine, NoPlace> {
        let mut queue = self.queue.lock();
        if self.taken() >= most {
            if !queue.displace(who) {
                return Err(NoPlace::Full);
            }
            self.taken.fetch_sub(1, Ordering::AcqRel);
        }
        self.taken.fetch_add(1, Ordering::AcqRel);
        let (id, call) = queue.join(who);
        Ok(PlaceInLine { line: Arc::clone(self), who, id, call: Some(call) })
    }

    pub fn add_turn(&self) {
        let mut queue = self.queue.lock();
        queue.turns += 1;
        queue.call();
    }
}

impl Queue {
    fn join(&mut self, who: Who) -> (u64, oneshot::Receiver<()>) {
        let id = self.next;
        self.next += 1;
        let of_client = self.clients.newest(who.client).map(|(_, taken)| taken.rank.0 + 1);
        let of_group = self.groups.newest(who.group).map(|(_, (_, rank))| rank.1 + 1);
        let rank = (
            of_client.map_or(self.called.0, |round| round.max(self.called.0)),
            of_group.map_or(self.called.1, |round| round.max(self.called.1)),
            id,
        );
        let (call, called) = oneshot::channel();
        self.order.insert(rank, who);
        self.clients.push(who.client, id, Taken { rank, call: Some(call) });
        self.groups.push(who.group, id, (who.client, rank));
        self.call();
        (id, called)
    }

    /// Gives free turns to the first entries.
    fn call(&mut self) {
        while self.turns > 0
            && let Some((rank, who)) = self.order.pop_first()
        {
            self.turns -= 1;
            self.called = (rank.0, rank.1);
            let taken = self.clients.get_mut(who.client, rank.2);
            if let Some(call) = taken.and_then(|taken| taken.call.take()) {
                // An entry that is gone returns its turn when it is dropped.
                let _ = call.send(());
            }
        }
    }

    fn leave(&mut self, who: Who, id: u64) -> bool {
        let Some(taken) = self.clients.remove(who.client, id) else { return false };
        self.groups.remove(who.group, id);
        if taken.call.is_none() {
            self.turns += 1;
            self.call();
        } else {
            self.order.remove(&taken.rank);
        }
        true
    }

    /// Takes the last place of the client, or otherwise of the group, with the most, if that is
    /// more than the newcomer would have.
    fn displace(&mut self, by: Who) -> bool {
        let client = self.clients.largest();
        let client = client.filter(|(_, size)| *size >= self.clients.size(by.client) + 2);
        let of_client = client.and_then(|(client, _)| {
            let (_, last) = self.clients.newest(client)?;
            last.call.is_some().then_some((client, last.rank))
        });
        let of_group = || {
            let group = self.groups.largest();
            let (group, _) = group.filter(|(_, size)| *size >= self.groups.size(by.group) + 2)?;
            self.groups.newest(group).map(|(_, last)| *last)
        };
        let Some((client, rank)) = of_client.or_else(of_group) else { return false };
        // An entry keeps its turn.
        let Some(who) = self.order.get(&rank).copied() else { return false };
        debug_assert_eq!(who.client, client, "ranks are of one alone");
        self.leave(who, rank.2)
    }
}

impl PlaceInLine {
    /// Waits for its turn, which ends when the place is dropped.
    ///
    /// # Errors
    /// When the place is lost before that.
    pub async fn turn(&mut self) -> Result<(), NoPlace> {
        let Some(call) = &mut self.call else { return Ok(()) };
        let called = call.await;
        self.call = None;
        called.map_err(|_| NoPlace::Displaced)
    }

    /// Whether it is in this line.
    pub fn is_in(&self, line: &Arc<Line>) -> bool {
        Arc::ptr_eq(&self.line, line)
    }
}

impl Drop for PlaceInLine {
    fn drop(&mut self) {
        let mut queue = self.line.queue.lock();
        if queue.leave(self.who, self.id) {
            self.line.taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests;
