//! Certificates by name, behind one atomic pointer: what handshakes see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::demands::{Asked, Demand, Demands};
use super::{Served, Trust};
use crate::model::{DomainName, Pattern};
use crate::places::ClientKey;

type HashMap<K, V> = GenericHashMap<K, V, foldhash::fast::RandomState, DefaultSharedPtr>;

/// Names that clients have asked for and nobody has seen to yet; more are refused.
const MAX_DEMANDS: usize = 256;

/// What there is for a name.
#[derive(Debug, Clone)]
pub enum Slot {
    /// A certificate.
    Ready(Arc<Served>),
    /// None yet, but it may come any moment.
    Pending,
    /// None until somebody asks for it: see [`CertStore::demand`].
    OnDemand,
    /// None, and none is about to come.
    Unavailable,
}

/// The certificates that are served. Cloned handles share them; reading takes no lock.
#[derive(Debug, Clone)]
pub struct CertStore {
    published: Arc<ArcSwap<Published>>,
    /// The revision of the state whose names are all in here.
    caught_up: Arc<AtomicU64>,
    changed: watch::Sender<()>,
    demands: mpsc::Sender<Demand>,
    /// Touched for names alone that nobody has declared.
    asked: Arc<Mutex<Asked>>,
}

/// One state of the certificates, whole. Persistent maps: replacing one of ten thousand costs what
/// replacing one of ten does.
#[derive(Debug, Clone, Default)]
struct Published {
    exact: HashMap<Arc<str>, Slot>,
    wildcard: HashMap<Arc<str>, Slot>,
    /// For names that only the domain `*` answers for.
    any: Option<Slot>,
    /// For clients that name no host, or one that nobody has declared.
    default: Option<Arc<Served>>,
}

impl CertStore {
    /// An empty store, and the end at which names come out that are demanded of it.
    pub fn new() -> (Self, Demands) {
        let (demands, demanded) = mpsc::channel(MAX_DEMANDS);
        let store = Self {
            published: Arc::default(),
            caught_up: Arc::default(),
            changed: watch::Sender::new(()),
            demands,
            asked: Arc::default(),
        };
        (store, demanded)
    }

    /// What there is for `host`, which is normalised: under its own name, else under the wildcard one
    /// label up. What is ready goes before what is not.
    pub fn find(&self, host: &str) -> Option<Slot> {
        let published = self.published.load();
        let own = published.exact.get(host);
        if let Some(Slot::Ready(_)) = own {
            return own.cloned();
        }
        let parent = host.split_once('.').filter(|(label, _)| !label.is_empty());
        let wildcard = parent.and_then(|(_, parent)| published.wildcard.get(parent));
        match wildcard {
            Some(Slot::Ready(_)) => wildcard.cloned(),
            _ => own.or(wildcard).cloned(),
        }
    }

    /// What there is for names that only the domain `*` answers for.
    pub fn any(&self) -> Option<Slot> {
        self.published.load().any.clone()
    }

    /// What there is under this very name.
    pub fn at(&self, name: &DomainName) -> Option<Slot> {
        self.published.load().at(name).cloned()
    }

    /// The certificate for clients that name no host, or an unknown one.
    pub fn default_certificate(&self) -> Option<Arc<Served>> {
        self.published.load().default.clone()
    }

    /// Whether clients that were not told to do so trust what is served for `host`.
    pub fn is_trusted(&self, host: &str) -> bool {
        let is_trusted = |slot: &Slot| match slot {
            Slot::Ready(served) => {
                served.trust == Trust::Public && served.certificate.not_after() > SystemTime::now()
            }
            Slot::Pending | Slot::OnDemand | Slot::Unavailable => false,
        };
        self.find(host).or_else(|| self.any()).is_some_and(|slot| is_trusted(&slot))
    }

    /// Whether the names of the state of this revision are all in here, so that one that isn't is not
    /// about to come.
    pub fn has_caught_up(&self, revision: u64) -> bool {
        self.caught_up.load(Ordering::Acquire) >= revision
    }

    /// Says that the names of the state of this revision are all in here.
    pub fn catch_up(&self, revision: u64) {
        self.caught_up.store(revision, Ordering::Release);
        self.changed.send_replace(());
    }

    /// Puts what there is for each name in one step; `None` takes the name out.
    pub fn publish(&self, changes: &[(DomainName, Option<Slot>)]) {
        if changes.is_empty() {
            return;
        }
        self.published.rcu(|before| {
            let mut next = Published::clone(before);
            for (name, slot) in changes {
                next.put(name, slot.clone());
            }
            next
        });
        self.changed.send_replace(());
    }

    /// Puts the certificate for clients that name no host, or an unknown one.
    pub fn publish_default(&self, served: Option<&Arc<Served>>) {
        self.published
            .rcu(|before| Published { default: served.cloned(), ..Published::clone(before) });
    }

    /// Tells of each change from now on.
    pub fn watch(&self) -> watch::Receiver<()> {
        let mut changes = self.changed.subscribe();
        changes.mark_unchanged();
        changes
    }

    /// Asks for a certificate for a name that has none yet. Where one may come, what is returned is
    /// answered if it will not after all; where the client has asked for too many names, nobody listens,
    /// or too many names wait already, there is none to be had, and nothing of that is remembered.
    pub fn demand(
        &self,
        host: &str,
        client: ClientKey,
        is_many: bool,
    ) -> Option<oneshot::Receiver<()>> {
        // What was declared has a bound of its own.
        let is_declared = self.published.load().exact.contains_key(host);
        if !is_declared && !self.asked.lock().admit(client, is_many, Instant::now()) {
            return None;
        }
        let (refused, is_refused) = oneshot::channel();
        let demand = Demand { host: host.to_owned(), client, is_many, refused };
        self.demands.try_send(demand).ok().map(|()| is_refused)
    }
}

impl Published {
    fn at(&self, name: &DomainName) -> Option<&Slot> {
        match name.pattern() {
            Pattern::Exact(name) => self.exact.get(name),
            Pattern::Wildcard(parent) => self.wildcard.get(parent),
            Pattern::Default => self.any.as_ref(),
        }
    }

    fn put(&mut self, name: &DomainName, slot: Option<Slot>) {
        let (map, key) = match name.pattern() {
            Pattern::Exact(name) => (&mut self.exact, name),
            Pattern::Wildcard(parent) => (&mut self.wildcard, parent),
            Pattern::Default => {
                self.any = slot;
                return;
            }
        };
        match slot {
            Some(slot) => map.insert(Arc::clone(key), slot),
            None => map.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::self_signed;
    use super::super::{Serving, Trust};
    use super::*;

    fn ready(name: &str) -> Slot {
        let serving = Serving::new().unwrap();
        Slot::Ready(Arc::new(serving.serve(self_signed(&[name]), Trust::Public)))
    }

    fn put(store: &CertStore, name: &str, slot: Option<Slot>) {
        store.publish(&[(name.parse().unwrap(), slot)]);
    }

    fn name_of(slot: Option<Slot>) -> Option<String> {
        match slot? {
            Slot::Ready(served) => Some(served.certificate.facts().names[0].clone()),
            Slot::Pending | Slot::OnDemand => Some("pending".into()),
            Slot::Unavailable => Some("unavailable".into()),
        }
    }

    #[test]
    fn its_own_name_goes_before_the_wildcard_and_ready_before_either() {
        let (store, _demands) = CertStore::new();
        put(&store, "*.example.com", Some(ready("*.example.com")));
        put(&store, "www.example.com", Some(Slot::Pending));
        let found = |host: &str| name_of(store.find(host));
        assert_eq!(found("www.example.com").as_deref(), Some("*.example.com"));
        put(&store, "www.example.com", Some(ready("www.example.com")));
        assert_eq!(found("www.example.com").as_deref(), Some("www.example.com"));
        assert_eq!(found("a.www.example.com"), None);
        assert_eq!(found(".example.com"), None);
        put(&store, "www.example.com", None);
        put(&store, "*.example.com", Some(Slot::Unavailable));
        assert_eq!(found("www.example.com").as_deref(), Some("unavailable"));
        assert!(!store.is_trusted("www.example.com"));
    }

    #[test]
    fn demands_are_bounded() {
        let (store, demands) = CertStore::new();
        let client = |n| ClientKey::of_uid(u32::try_from(n).unwrap());
        let demand = |name: &str, n| store.demand(name, client(n), false).is_some();
        assert!((0..MAX_DEMANDS).all(|n| demand(&format!("{n}.example"), n)));
        assert!(!demand("one.more.example", MAX_DEMANDS));
        drop(demands);
        assert!(!demand("nobody.listens.example", MAX_DEMANDS));
    }
}
