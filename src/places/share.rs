//! Counts and limits what each client has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::ClientKey;

/// Counts by client. Clients without any have no entry. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Shares(Arc<DashMap<ClientKey, Arc<Counts>, foldhash::fast::RandomState>>);

/// The counts of one client.
#[derive(Debug, Default)]
struct Counts {
    held: AtomicU32,
    /// The uses of all of these together.
    used: AtomicU32,
}

/// Guard: one item of a client.
#[derive(Debug)]
pub struct Share {
    among: Shares,
    client: ClientKey,
    counts: Arc<Counts>,
}

/// The uses of one client: counted without another look-up.
#[derive(Debug, Clone)]
pub struct Uses(Arc<Counts>);

/// Guard: one use.
#[derive(Debug)]
pub struct Use(Arc<Counts>);

impl Shares {
    /// Counts one more for a client, unless it already has `most`.
    pub fn enter(&self, client: ClientKey, most: u32) -> Option<Share> {
        // The entry stays locked until it is counted, so that it is not removed in between.
        let counts = match self.0.entry(client) {
            Entry::Occupied(entry) => {
                one_more(&entry.get().held, most).then(|| entry.get().clone())
            }
            Entry::Vacant(entry) if most > 0 => {
                let counts = Arc::<Counts>::default();
                counts.held.store(1, Ordering::Relaxed);
                entry.insert(Arc::clone(&counts));
                Some(counts)
            }
            Entry::Vacant(_) => None,
        };
        counts.map(|counts| Share { among: self.clone(), client, counts })
    }

    /// Whether no client has anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Share {
    /// The uses of its client.
    pub fn uses(&self) -> Uses {
        Uses(Arc::clone(&self.counts))
    }
}

impl Uses {
    /// Counts one more, unless there are already `most`.
    pub fn enter(&self, most: u32) -> Option<Use> {
        one_more(&self.0.used, most).then(|| Use(Arc::clone(&self.0)))
    }
}

fn one_more(count: &AtomicU32, most: u32) -> bool {
    let one_more = |count| (count < most).then_some(count + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Entry::Occupied(entry) = self.among.0.entry(self.client)
            && self.counts.held.fetch_sub(1, Ordering::Relaxed) == 1
        {
            entry.remove();
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_share_and_none_is_remembered() {
        let shares = Shares::default();
        let enter = |client: &str| shares.enter(ClientKey::of(client.parse().unwrap()), 2);
        let one = enter("2001:db8::1").unwrap();
        let two = enter("2001:db8::2").unwrap();
        assert!(enter("2001:db8::3").is_none(), "the same /64");
        drop(enter("2001:db8:0:1::1").unwrap());
        drop(one);
        let three = enter("2001:db8::3").unwrap();
        let uses = [two.uses(), three.uses()].map(|uses| uses.enter(2));
        assert!(uses.iter().all(Option::is_some));
        assert!(three.uses().enter(2).is_none(), "what it does with both is one count");
        drop(uses);
        assert!(three.uses().enter(2).is_some());
        drop((two, three));
        assert!(shares.enter(ClientKey::UNKNOWN, 0).is_none());
        assert!(shares.is_empty());
    }
}
