//! How many bytes may be held on behalf of a connection, a client and all clients.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use atomic_waker::AtomicWaker;
use dashmap::DashMap;

use crate::counters::BytePool;
use crate::counters::Metrics;
use crate::places::client_network;
use crate::proxy::options::MemoryLimits;

/// The largest read from a backend: what Pingora has room for.
const MAX_PIECE: usize = 64 * 1024;

/// The smallest one that is worth a system call while there is room.
const MIN_PIECE: usize = 4 * 1024;

/// What a connection's requests share when its client, or the server, has used up its budget, so that
/// each goes on, if slowly.
const GUARANTEED: usize = 64 * 1024;

/// Below this a read carries too little to be worth anything.
const MIN_GUARANTEED_PIECE: usize = 1024;

impl MemoryLimits {
    /// What a client may send on an HTTP/2 connection before anybody has asked for it.
    pub(crate) fn receive_window(self) -> u32 {
        // h2 has no smaller one to begin with.
        u32::try_from(self.per_connection / 4).unwrap_or(u32::MAX).clamp(65_535, 1 << 30)
    }
}

/// The budgets of the clients that have connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budgets(Arc<DashMap<Ipv6Addr, Weak<BytePool>>>);

impl Budgets {
    /// A budget for a connection of `client`; without one of the client's own where that stands for
    /// many.
    pub(crate) fn open(
        &self,
        client: Option<IpAddr>,
        limits: MemoryLimits,
        metrics: &Metrics,
    ) -> Arc<Budget> {
        let server = Arc::clone(&metrics.buffered);
        server.set_limit(limits.in_all);
        let pool = client.map(|client| self.of_client(client_network(client), limits.per_client));
        Arc::new(Budget {
            own: BytePool::new(limits.per_connection / 4),
            uploads: BytePool::new(limits.per_connection / 4),
            uploaded: AtomicWaker::new(),
            streams: AtomicUsize::new(0),
            limit: limits.per_connection,
            client: pool.map(|pool| ClientPool { pool, among: self.clone(), client }),
            server,
        })
    }

    fn of_client(&self, network: Ipv6Addr, limit: usize) -> Arc<BytePool> {
        let mut entry = self.0.entry(network).or_default();
        let pool = entry.upgrade().unwrap_or_else(|| {
            let pool = Arc::new(BytePool::new(limit));
            *entry = Arc::downgrade(&pool);
            pool
        });
        pool.set_limit(limit);
        pool
    }
}

/// A client's budget, which is forgotten with its last connection.
#[derive(Debug)]
struct ClientPool {
    pool: Arc<BytePool>,
    among: Budgets,
    client: Option<IpAddr>,
}

impl Drop for ClientPool {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        // With the entry's lock held nobody else can take hold of it.
        self.among.0.remove_if(&client_network(client), |_, pool| {
            Weak::ptr_eq(pool, &Arc::downgrade(&self.pool)) && Arc::strong_count(&self.pool) == 1
        });
    }
}

/// What is held on behalf of one connection. Its limit has four equal parts: answers that a request may
/// always hold, answers beyond that, request bodies, and what h2 has received and nobody has asked for.
#[derive(Debug)]
pub(crate) struct Budget {
    /// All but request bodies.
    own: BytePool,
    uploads: BytePool,
    /// Who waits for request bodies to leave.
    uploaded: AtomicWaker,
    /// Requests that may hold something.
    streams: AtomicUsize,
    limit: usize,
    client: Option<ClientPool>,
    server: Arc<BytePool>,
}

impl Budget {
    /// How large the next read from a backend may be. Each request holds up to two of these whatever
    /// the others do.
    pub(crate) fn piece(&self) -> usize {
        let streams = self.streams.load(Ordering::Relaxed).max(1);
        if self.others_have_room() {
            (self.limit / 8 / streams).clamp(MIN_PIECE, MAX_PIECE)
        } else {
            (GUARANTEED / 2 / streams).clamp(MIN_GUARANTEED_PIECE, MAX_PIECE)
        }
    }

    /// Whether more may be held than each request may always hold.
    pub(super) fn has_room(&self) -> bool {
        self.own.fits(1) && self.others_have_room()
    }

    fn others_have_room(&self) -> bool {
        self.server.fits(1) && self.client.as_ref().is_none_or(|client| client.pool.fits(1))
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.own.add(bytes);
        self.add_to_others(bytes);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.own.remove(bytes);
        self.remove_from_others(bytes);
    }

    fn add_to_others(&self, bytes: usize) {
        if let Some(client) = &self.client {
            client.pool.add(bytes);
        }
        self.server.add(bytes);
    }

    fn remove_from_others(&self, bytes: usize) {
        if let Some(client) = &self.client {
            client.pool.remove(bytes);
        }
        self.server.remove(bytes);
    }

    pub(crate) fn add_upload(&self, bytes: usize) {
        self.uploads.add(bytes);
        self.add_to_others(bytes);
    }

    pub(crate) fn remove_upload(&self, bytes: usize) {
        self.uploads.remove(bytes);
        self.remove_from_others(bytes);
        self.uploaded.wake();
    }

    /// Whether the connection may be read: its client and the server have room, or what it has sent has
    /// gone on to backends, but for its share. Otherwise `cx` is woken when some of it has.
    ///
    /// Not by its share alone: whoever isn't read can't say that it takes the answers either, and for
    /// those a backend may wait before it takes more.
    pub(crate) fn takes_uploads(&self, cx: &std::task::Context<'_>) -> bool {
        let may = || self.uploads.fits(1) || self.others_have_room();
        if may() {
            return true;
        }
        self.uploaded.register(cx.waker());
        // What has gone on meanwhile woke nobody.
        may()
    }

    pub(crate) fn begin_stream(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end_stream(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes `bytes` for as long as the charge is kept, when the connection's limit leaves room for them,
    /// whatever others hold: who needs little must not be refused for them.
    pub(crate) fn charge_alone(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let fits = self.own.used().saturating_add(bytes) <= self.limit;
        fits.then(|| self.charged(bytes))
    }

    /// Takes memory for an encoder, unless those of the connection take three quarters of it.
    pub(crate) fn charge_encoder(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        self.charge_within(bytes, 3)
    }

    /// The same when so many quarters of the limit leave room, and others have left some.
    fn charge_within(self: &Arc<Self>, bytes: usize, quarters: usize) -> Option<Charge> {
        let limit = self.limit / 4 * quarters;
        let fits = self.own.used().saturating_add(bytes) <= limit && self.others_have_room();
        fits.then(|| self.charged(bytes))
    }

    /// The same for a header block that is not whole: up to what a connection may hold whatever others do,
    /// or when its limit leaves room and others have left some.
    pub(crate) fn charge_block(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        if bytes > GUARANTEED {
            return self.charge_within(bytes, 4);
        }
        Some(self.charged(bytes))
    }

    fn charged(self: &Arc<Self>, bytes: usize) -> Charge {
        self.add(bytes);
        Charge { budget: Arc::clone(self), bytes }
    }
}

/// Bytes that stay counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.remove(self.bytes);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const LIMITS: MemoryLimits = MemoryLimits {
        per_connection: 2 << 20,
        per_client: 4 << 20,
        in_all: 8 << 20,
        h2_send_buffer: 64 << 10,
    };

    #[test]
    fn pieces_shrink_with_the_requests_and_when_others_have_used_up_all() {
        let (budgets, metrics) = (Budgets::default(), Metrics::default());
        let client = Some("192.0.2.1".parse().unwrap());
        let budget = budgets.open(client, LIMITS, &metrics);
        assert_eq!(budget.piece(), MAX_PIECE);
        (0..100).for_each(|_| budget.begin_stream());
        assert!(2 * 100 * budget.piece() <= LIMITS.per_connection / 2);
        let other = budgets.open(client, LIMITS, &metrics);
        other.add(LIMITS.per_client);
        assert_eq!(budget.piece(), MIN_GUARANTEED_PIECE, "its client has used up its own");
        assert!(!budget.has_room());
        let stranger = budgets.open("192.0.2.2".parse().ok(), LIMITS, &metrics);
        assert!(stranger.has_room());
        assert_eq!(metrics.buffered.used(), LIMITS.per_client);
        other.remove(LIMITS.per_client);
        assert!(budget.has_room());
    }

    #[test]
    fn what_is_charged_comes_back_and_clients_are_forgotten() {
        let (budgets, metrics) = (Budgets::default(), Metrics::default());
        let budget = budgets.open("192.0.2.1".parse().ok(), LIMITS, &metrics);
        let charge = budget.charge_within(LIMITS.per_connection, 4).unwrap();
        assert!(budget.charge_within(1, 4).is_none());
        assert_eq!(metrics.buffered.used(), LIMITS.per_connection);
        drop(charge);
        assert!(budget.charge_within(1, 4).is_some());
        assert_eq!(metrics.buffered.used(), 0);
        let same = budgets.open("192.0.2.1".parse().ok(), LIMITS, &metrics);
        drop(budget);
        assert_eq!(budgets.0.len(), 1);
        drop(same);
        assert!(budgets.0.is_empty());
    }
}
