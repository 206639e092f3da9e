//! Places of which the oldest of the client with the most is dropped when there are too many: for
//! things that cost little to lose, such as a silent connection.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ClientKey;
use super::lanes::Lanes;

/// Several locks, so that concurrent connections seldom wait for each other.
const SHARDS: usize = 16;

/// The places of clients. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Taken>);

#[derive(Debug, Default)]
struct Taken {
    shards: [Shard; SHARDS],
    count: AtomicUsize,
    next: AtomicU64,
}

/// The places of some clients.
#[derive(Debug, Default)]
struct Shard {
    lanes: Mutex<Lanes<ClientKey, oneshot::Sender<()>>>,
    /// The largest number of places of one of them.
    largest: AtomicUsize,
    /// The oldest place of that client.
    oldest: AtomicU64,
}

/// Guard: a place.
#[derive(Debug)]
pub struct Place {
    among: Places,
    client: ClientKey,
    id: u64,
    lost: oneshot::Receiver<()>,
}

impl Places {
    /// The number of places.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Takes a place. If there are more than `most` then, the client with the most loses its
    /// oldest.
    pub fn enter(&self, client: ClientKey, most: usize) -> Place {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (keeps, lost) = oneshot::channel();
        self.0.shard(client).change(|lanes| lanes.push(client, id, keeps));
        self.0.count.fetch_add(1, Ordering::Relaxed);
        while self.0.is_one_too_many(most) {
            if !self.drop_oldest() {
                self.0.count.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        Place { among: self.clone(), client, id, lost }
    }

    /// Drops the oldest place of the client with the most; `false` if there is none.
    pub fn displace(&self) -> bool {
        let is_dropped = self.drop_oldest();
        if is_dropped {
            self.0.count.fetch_sub(1, Ordering::Relaxed);
        }
        is_dropped
    }

    /// The same, for who has counted it out already.
    fn drop_oldest(&self) -> bool {
        // Another client may have the most by the time of the lock: then one of the next largest is
        // dropped.
        for _ in 0..SHARDS {
            let fullest = self.0.shards.iter().max_by_key(|shard| shard.standing());
            let Some(fullest) = fullest.filter(|shard| shard.standing().0 > 0) else { break };
            let taken = fullest.change(|lanes| {
                let (client, _) = lanes.largest()?;
                lanes.remove(client, lanes.oldest(client)?)
            });
            if taken.is_some() {
                return true;
            }
        }
        false
    }
}

impl Taken {
    /// Counts one out where there are more than `most`: so no two of those who come at once drop one for the
    /// same reason.
    fn is_one_too_many(&self, most: usize) -> bool {
        let one_less = |count: usize| (count > most).then(|| count - 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    fn shard(&self, client: ClientKey) -> &Shard {
        &self.shards[client.part(SHARDS)]
    }
}

impl Shard {
    fn change<R>(&self, change: impl FnOnce(&mut Lanes<ClientKey, oneshot::Sender<()>>) -> R) -> R {
        let mut lanes = self.lanes.lock();
        let changed = change(&mut lanes);
        let (client, largest) = lanes.largest().unzip();
        let oldest = client.and_then(|client| lanes.oldest(client));
        self.largest.store(largest.unwrap_or(0), Ordering::Relaxed);
        self.oldest.store(oldest.unwrap_or(u64::MAX), Ordering::Relaxed);
        changed
    }

    fn standing(&self) -> (usize, Reverse<u64>) {
        let oldest = self.oldest.load(Ordering::Relaxed);
        (self.largest.load(Ordering::Relaxed), Reverse(oldest))
    }
}

impl Place {
    /// Completes when the place is lost.
    pub async fn lost(&mut self) {
        // No message is sent: the sender is dropped.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shard = self.among.0.shard(self.client);
        if shard.change(|lanes| lanes.remove(self.client, self.id)).is_some() {
            self.among.0.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(place: &mut Place) -> bool {
        matches!(place.lost.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn as_many_go_as_are_too_many_when_two_come_at_once() {
        let places = Places::default();
        let enter = || places.enter(ClientKey::of_uid(1), 10);
        let _full: Vec<_> = (0..10).map(|_| enter()).collect();
        let both = std::sync::Barrier::new(2);
        let rounds = || {
            let (mut held, mut is_right) = (Vec::new(), true);
            for _ in 0..5000 {
                both.wait();
                held.push(enter());
                both.wait();
                is_right &= places.count() == 10;
                both.wait();
            }
            (held, is_right)
        };
        std::thread::scope(|scope| {
            let threads = [scope.spawn(rounds), scope.spawn(rounds)];
            let done = threads.map(|thread| thread.join().expect("it ends"));
            assert!(done.iter().all(|(_, is_right)| *is_right));
        });
    }

    #[test]
    fn the_oldest_of_who_has_the_most_goes_and_others_never() {
        let places = Places::default();
        let enter = |client: u32| places.enter(ClientKey::of_uid(client), 20);
        let mut others: Vec<_> = (0..10).map(|n| enter(100 + n)).collect();
        let mut flood: Vec<_> = (0..500).map(|_| enter(1)).collect();
        let mut late: Vec<_> = (0..5).map(|n| enter(200 + n)).collect();
        assert_eq!(places.count(), 20);
        assert!(others.iter_mut().chain(&mut late).all(|place| !is_lost(place)));
        assert!(flood[..495].iter_mut().all(is_lost));
        assert!(flood[495..].iter_mut().all(|place| !is_lost(place)));
        drop((others, flood, late));
        assert_eq!(places.count(), 0);
        assert!(!places.displace());
    }

    #[test]
    fn of_clients_with_one_each_the_oldest_goes() {
        let places = Places::default();
        let mut all: Vec<_> = (0..100).map(|n| places.enter(ClientKey::of_uid(n), 50)).collect();
        assert!(all[..50].iter_mut().all(is_lost));
        assert!(all[50..].iter_mut().all(|place| !is_lost(place)));
        assert!(places.displace());
        assert!(is_lost(&mut all[50]));
    }
}
