//! Certificates by name, behind one atomic pointer, for handshakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::demands::{ClientDemands, Demand, Demands};
use super::{Served, Trust};
use crate::model::{DomainName, Pattern};
use crate::places::ClientKey;

type HashMap<K, V> = GenericHashMap<K, V, foldhash::fast::RandomState, DefaultSharedPtr>;

/// The most unhandled names on demand; more are refused.
const MAX_DEMANDS: usize = 256;

/// The state of a name.
#[derive(Debug, Clone)]
pub enum Slot {
    /// A certificate.
    Ready(Arc<Served>),
    /// None yet, but one may come at any moment.
    Pending,
    /// None until it is requested: see [`CertStore::demand`].
    OnDemand,
    /// None, and none is expected.
    Unavailable,
}

/// The certificates that are served. Cloned handles share them; reading takes no lock.
#[derive(Debug, Clone)]
pub struct CertStore {
    published: Arc<ArcSwap<Published>>,
    /// The revision of the state up to which all names are included.
    caught_up: Arc<AtomicU64>,
    changed: watch::Sender<()>,
    demands: mpsc::Sender<Demand>,
    /// Only used for names that are not declared.
    asked: Arc<Mutex<ClientDemands>>,
}

/// One state of all certificates. Persistent maps: replacing one of ten thousand costs the same as
/// one of ten.
#[derive(Debug, Clone, Default)]
struct Published {
    exact: HashMap<Arc<str>, Slot>,
    wildcard: HashMap<Arc<str>, Slot>,
    /// For names that only match the domain `*`.
    any: Option<Slot>,
    /// For clients without SNI, or with an unknown name.
    default: Option<Arc<Served>>,
}

impl CertStore {
    /// An empty store, and the receiver of names on demand.
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

    /// The slot of `host`, which is normalised: under its own name, otherwise under the wildcard
    /// one label up. A ready one takes precedence.
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

    /// The slot for names that only match the domain `*`.
    pub fn any(&self) -> Option<Slot> {
        self.published.load().any.clone()
    }

    /// The slot under exactly this name.
    pub fn at(&self, name: &DomainName) -> Option<Slot> {
        self.published.load().at(name).cloned()
    }

    /// The certificate for clients without SNI, or with an unknown name.
    pub fn default_certificate(&self) -> Option<Arc<Served>> {
        self.published.load().default.clone()
    }

    /// Whether the certificate of `host` is publicly trusted.
    pub fn is_trusted(&self, host: &str) -> bool {
        let is_trusted = |slot: &Slot| match slot {
            Slot::Ready(served) => {
                served.trust == Trust::Public && served.certificate.not_after() > SystemTime::now()
            }
            Slot::Pending | Slot::OnDemand | Slot::Unavailable => false,
        };
        self.find(host).or_else(|| self.any()).is_some_and(|slot| is_trusted(&slot))
    }

    /// Whether all names of this revision of the state are included; then a missing one is not
    /// expected.
    pub fn has_caught_up(&self, revision: u64) -> bool {
        self.caught_up.load(Ordering::Acquire) >= revision
    }

    /// Notes that all names of this revision of the state are included.
    pub fn catch_up(&self, revision: u64) {
        self.caught_up.store(revision, Ordering::Release);
        self.changed.send_replace(());
    }

    /// Sets the slots of several names in one step; `None` removes a name.
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

    /// Sets the certificate for clients without SNI, or with an unknown name.
    pub fn publish_default(&self, served: Option<&Arc<Served>>) {
        self.published
            .rcu(|before| Published { default: served.cloned(), ..Published::clone(before) });
    }

    /// A receiver that sees each change from now on.
    pub fn watch(&self) -> watch::Receiver<()> {
        let mut changes = self.changed.subscribe();
        changes.mark_unchanged();
        changes
    }

    /// Requests a certificate for a name without one. The returned receiver gets a message if there
    /// will be none. `None` if the client has requested too many names, nothing handles demands, or
    /// too many names are waiting; that is not remembered.
    pub fn demand(
        &self,
        host: &str,
        client: ClientKey,
        is_many: bool,
    ) -> Option<oneshot::Receiver<()>> {
        // Declared names have a limit of their own.
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
