//! The one atomic pointer between the writer and everyone who reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::{DomainNode, Pool, Snapshot, TagLive, Way};
use crate::counters::InFlightGuard;
use crate::sync::{ArcSwap, fence};

/// Makes the two ends of a publication that starts with `snapshot`.
pub fn publication(snapshot: Snapshot) -> (Publisher, Reader) {
    let (changed, _) = watch::channel(snapshot.revision());
    let current = Arc::new(ArcSwap::from_pointee(snapshot));
    let reader = Reader { current, changed: changed.subscribe() };
    (Publisher { reader: reader.clone(), changed }, reader)
}

/// The control plane's end.
#[derive(Debug)]
pub struct Publisher {
    reader: Reader,
    changed: watch::Sender<u64>,
}

impl Publisher {
    /// The snapshot that was published last.
    pub fn now(&self) -> Arc<Snapshot> {
        self.reader.load()
    }

    /// Makes `snapshot` the one that every request from now on sees.
    ///
    /// Answers with it as readers hold it. When this returns, a count of requests in flight that reads zero stays zero for what the new
    /// snapshot no longer routes to (see [`Reader::pin`]).
    pub fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let before = self.reader.load();
        let revision = snapshot.revision();
        let snapshot = Arc::new(snapshot);
        snapshot.open_gates(&before);
        self.reader.current.store(Arc::clone(&snapshot));
        snapshot.close_gates(&before);
        snapshot.open_pause_lines(&before);
        snapshot.announce_departures(&before);
        fence(Ordering::SeqCst);
        self.changed.send_replace(revision);
        snapshot
    }
}

/// Everyone else's end.
#[derive(Debug, Clone)]
pub struct Reader {
    current: Arc<ArcSwap<Snapshot>>,
    changed: watch::Receiver<u64>,
}

impl Reader {
    /// The snapshot of now.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Waits until a snapshot after the one last waited for is published.
    ///
    /// # Errors
    /// When the publisher is gone, so that nothing will change any more.
    pub async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.changed.changed().await
    }

    /// Routes a request at `host` and counts it in flight, as one step. `way` says to which of the domain's tags it
    /// goes.
    ///
    /// The request counts itself first and then looks whether the snapshot is still the one it read;
    /// a switch publishes first and reads the count after. So a drain that finds nobody can't be
    /// followed by a request that still goes to the old tag.
    pub fn pin(&self, host: &str, mut way: impl FnMut(&DomainNode) -> Way) -> Option<Pinned> {
        let mut snapshot = self.current.load();
        loop {
            let domain = snapshot.route(host)?;
            let way = way(domain);
            let in_flight = domain.enter(way);
            fence(Ordering::SeqCst);
            let now = self.current.load();
            if Arc::ptr_eq(&snapshot, &now) {
                return Some(Pinned {
                    domain: Arc::clone(domain),
                    pool: snapshot.pool(&domain.tag_of(way).pool).map(Arc::clone),
                    net: domain.net(way).and_then(|pool| snapshot.pool(pool)).map(Arc::clone),
                    way,
                    in_flight,
                });
            }
            snapshot = now;
        }
    }
}

/// What a request keeps of the state: its domain and its pool, not the whole world.
#[derive(Debug)]
pub struct Pinned {
    /// The domain it is for.
    pub domain: Arc<DomainNode>,
    /// The backends of its tag, unless none carries it.
    pub pool: Option<Arc<Pool>>,
    /// Those that it may be tried on once if the tag on trial fails it.
    pub net: Option<Arc<Pool>>,
    /// To which of the domain's tags it goes.
    pub way: Way,
    /// Counts it in flight on its tag.
    pub in_flight: InFlightGuard,
}

impl Pinned {
    /// What is observed of its tag.
    pub fn tag(&self) -> &TagLive {
        self.domain.tag_of(self.way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, VirtualHost};

    fn with_live(live: &str) -> Change {
        Change::PutDomain(VirtualHost {
            domain: "example.com".parse().unwrap(),
            live: live.parse().unwrap(),
            previous: None,
            beside: crate::model::Beside::default(),
            top: crate::model::TopOptions { http_to_https: false, ..Default::default() },
            options: crate::model::HostOptions::default(),
        })
    }

    #[test]
    fn a_drain_that_found_nobody_is_never_followed_by_a_late_request() {
        let (publisher, reader) = publication(Snapshot::default().after(vec![with_live("a")], 1));
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let pinned = reader.pin("example.com", |_| Way::Live).expect("routed");
                        let tag = &pinned.domain.virtual_host.live;
                        let count = pinned.domain.in_flight_on(tag).expect("its own tag").count();
                        assert!(count > 0, "a pinned request is counted");
                    }
                });
            }
            let tags = ["a", "b"];
            for turn in 2..2_000_usize {
                let before = reader.load();
                let (old, new) = (tags[turn % 2], tags[(turn + 1) % 2]);
                let old = old.parse().unwrap();
                publisher.publish(before.after(vec![with_live(new)], turn as u64));
                let node = reader.load().domain(&"example.com".parse().unwrap()).unwrap().clone();
                let Some(count) = node.in_flight_on(&old) else { continue };
                while count.count() > 0 {
                    std::thread::yield_now();
                }
                for _ in 0..20 {
                    // A request may still touch the count for a moment before it turns away, but
                    // none may be pinned to the old tag.
                    let pinned = reader.pin("example.com", |_| Way::Live).expect("routed");
                    assert_eq!(pinned.domain.virtual_host.live.as_str(), new);
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
