//! The schedules: one task a backend, following the published snapshot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::change::{HealthChange, MAX_KEPT_CHANGES};
use super::ejection::EjectionCap;
use super::monitor::{Monitor, Verdict};
use super::pace::{FAST_INTERVAL, Recoveries, jittered, spread};
use super::probe::{Probe, Prober};
use super::resolver::{Names, system_lookup};
use crate::model::{BackendAddr, BackendState, HealthCheck, HealthCheckOptions};
use crate::state::{BackendNode, Reader, Snapshot};

/// The most scheduled probes at once. One takes several kilobytes and a file descriptor: after a
/// start with ten thousand backends they would take more memory than the whole state.
const MAX_RUNNING_PROBES: usize = 1000;

/// How backends are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthSettings {
    /// What a probe does and what its outcome means, where a backend doesn't say otherwise.
    pub check: HealthCheckOptions,
    /// The interval of look-ups of a name.
    pub resolve_interval: Duration,
    /// The share of a pool's ready backends that passive failures may eject at once, 0 to 100.
    pub max_ejected_percent: u8,
}

/// The handle of the health checks. They end with the last handle, and with the publisher of the
/// snapshots.
#[derive(Clone)]
pub(crate) struct Checker {
    watch: Arc<Watch>,
    /// Nothing is ever sent: closing it is the signal.
    _alive: Arc<watch::Sender<()>>,
}

/// Starts to check the backends of the snapshots from `reader`, on the current runtime.
pub(crate) fn spawn(settings: HealthSettings, reader: Reader) -> Checker {
    let runtime = Handle::current();
    let watch = Arc::new(Watch {
        prober: Prober::new(),
        names: Names::new(settings.resolve_interval, Arc::new(system_lookup), runtime.clone()),
        common: ArcSwap::from_pointee(Common::new(settings.check)),
        runtime: runtime.clone(),
        turns: Semaphore::new(MAX_RUNNING_PROBES),
        cap: Arc::new(EjectionCap::new(reader.clone(), settings.max_ejected_percent)),
        recoveries: Recoveries::default(),
        changes: broadcast::Sender::new(MAX_KEPT_CHANGES),
        reader: reader.clone(),
        watched: Mutex::default(),
    });
    let (alive, ended) = watch::channel(());
    runtime.spawn(follow(Arc::clone(&watch), reader, ended));
    Checker { watch, _alive: Arc::new(alive) }
}

impl Checker {
    /// Replaces the settings. The health of backends stays until new probes change it.
    pub(crate) fn set(&self, settings: HealthSettings) {
        let HealthSettings { check, resolve_interval, max_ejected_percent } = settings;
        let watch = &self.watch;
        watch.cap.set_percent(max_ejected_percent);
        watch.names.set_interval(resolve_interval);
        if watch.common.load().settings == check {
            return;
        }
        let watched = watch.watched.lock();
        // Under the lock: a backend that joins now gets the old settings and the change, or the new
        // settings.
        watch.common.store(Arc::new(Common::new(check)));
        for one in watched.values() {
            one.monitor.set_check(watch.check_of(&one.own, &one.monitor.node.backend.address));
        }
    }

    /// Follows the changes of health, from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<HealthChange> {
        self.watch.changes.subscribe()
    }

    /// Probes the backend now. The outcome counts like a scheduled probe's, in the order in which
    /// they end: both count towards the same thresholds.
    pub(crate) async fn probe_now(&self, node: &BackendNode) -> Verdict {
        let monitor = self.watch.monitor(node);
        // The node may not be published yet, and have another check by then.
        let check = self.watch.check_of(node.health_check(), &node.backend.address);
        let probe = self.watch.probe(node.clone(), check).await;
        monitor.record(probe)
    }
}

struct Watch {
    common: ArcSwap<Common>,
    prober: Prober,
    names: Names,
    runtime: Handle,
    /// Limits scheduled probes. `probe_now` does not wait for it.
    turns: Semaphore,
    cap: Arc<EjectionCap>,
    recoveries: Recoveries,
    changes: broadcast::Sender<HealthChange>,
    reader: Reader,
    /// By the address of the `BackendLive`: an edit of the backend keeps it, another address makes
    /// a new one. The monitor keeps it alive, so the key stays unique.
    watched: Mutex<HashMap<usize, Watched>>,
}

/// The health check of all backends that have nothing of their own.
struct Common {
    settings: HealthCheckOptions,
    check: Arc<HealthCheck>,
}

impl Common {
    fn new(settings: HealthCheckOptions) -> Self {
        Self { check: Arc::new(settings.check()), settings }
    }
}

struct Watched {
    monitor: Arc<Monitor>,
    /// What its check has of its own.
    own: Arc<HealthCheckOptions>,
    schedule: Option<Schedule>,
}

/// Dropping it ends the schedule.
struct Schedule(AbortHandle);

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(watch: Arc<Watch>, mut reader: Reader, mut ended: watch::Receiver<()>) {
    let mut followed = Arc::new(Snapshot::default());
    loop {
        let snapshot = reader.load();
        if !snapshot.shares_backends(&followed) {
            watch.follow(&snapshot);
        }
        followed = snapshot;
        tokio::select! {
            changed = reader.changed() => if changed.is_err() { break },
            _ = ended.changed() => break,
        }
    }
    watch.follow(&Snapshot::default());
}

impl Watch {
    /// Starts and ends schedules to match the snapshot's backends.
    fn follow(self: &Arc<Self>, snapshot: &Snapshot) {
        let present: HashSet<usize> = snapshot.backends().map(|node| key(node)).collect();
        let mut watched = self.watched.lock();
        watched.retain(|key, watched| {
            let stays = present.contains(key);
            if !stays {
                self.names.unfollow(&watched.monitor);
            }
            stays
        });
        for node in snapshot.backends() {
            let entry = self.entry(&mut watched, node);
            let own = node.health_check();
            if !Arc::ptr_eq(&entry.own, own) && entry.own != *own {
                entry.own = Arc::clone(own);
                entry.monitor.set_check(self.check_of(own, &node.backend.address));
            }
            let disabled = node.backend.state == BackendState::Disabled;
            if disabled && entry.schedule.take().is_some() {
                entry.monitor.forget();
            } else if !disabled && entry.schedule.is_none() {
                let task = keep_schedule(Arc::clone(self), Arc::clone(&entry.monitor));
                entry.schedule = Some(Schedule(self.runtime.spawn(task).abort_handle()));
            }
        }
    }

    fn monitor(&self, node: &BackendNode) -> Arc<Monitor> {
        let mut watched = self.watched.lock();
        if !watched.contains_key(&key(node)) {
            self.forget_candidates(&mut watched);
        }
        Arc::clone(&self.entry(&mut watched, node).monitor)
    }

    /// Forgets backends that were probed before they were in the state, and that never came into it: nobody else
    /// holds them any more.
    fn forget_candidates(&self, watched: &mut HashMap<usize, Watched>) {
        watched.retain(|_, of| {
            let stays = of.schedule.is_some() || Arc::strong_count(&of.monitor.node.live) > 1;
            if !stays {
                self.names.unfollow(&of.monitor);
            }
            stays
        });
    }

    fn entry<'a>(
        &self,
        watched: &'a mut HashMap<usize, Watched>,
        node: &BackendNode,
    ) -> &'a mut Watched {
        watched.entry(key(node)).or_insert_with(|| {
            let own = Arc::clone(node.health_check());
            let check = self.check_of(&own, &node.backend.address);
            let (cap, recoveries) = (Arc::clone(&self.cap), self.recoveries.clone());
            let changes = self.changes.clone();
            let monitor = Monitor::new(node.clone(), check, cap, recoveries, changes);
            let monitor = Arc::new(monitor);
            self.names.follow(&monitor);
            Watched { monitor, own, schedule: None }
        })
    }

    /// The check of a backend that has these keys of its own.
    fn check_of(&self, own: &HealthCheckOptions, address: &BackendAddr) -> Arc<HealthCheck> {
        let common = self.common.load();
        let has_own_port = common.check.port.is_none() || !matches!(address, BackendAddr::Unix(_));
        if own.is_empty() && has_own_port {
            return Arc::clone(&common.check);
        }
        Arc::new(own.check_over(&common.settings).at(address))
    }

    /// The current state of the watched backend.
    fn node(&self, monitor: &Monitor) -> BackendNode {
        let snapshot = self.reader.load();
        let now = snapshot.backend(&monitor.node.backend.id);
        let is_same = |now: &&Arc<BackendNode>| Arc::ptr_eq(&now.live, &monitor.node.live);
        now.filter(is_same).map_or_else(|| monitor.node.clone(), |now| BackendNode::clone(now))
    }

    async fn probe(self: &Arc<Self>, node: BackendNode, check: Arc<HealthCheck>) -> Probe {
        if let BackendAddr::Name { host, .. } = &node.backend.address
            && node.live.endpoints().is_empty()
        {
            let failure = self.names.failure(host).await;
            if node.live.endpoints().is_empty() {
                return Probe::unresolved(host, failure.as_deref().unwrap_or("not asked yet"));
            }
        }
        // In a task of its own, because Pingora may panic, and the schedule must go on. Dropping
        // the set ends the probe.
        let mut attempt = JoinSet::new();
        let watch = Arc::clone(self);
        let probe = async move {
            let endpoints = node.live.endpoints().clone();
            watch.prober.probe(&check, &node, &endpoints).await
        };
        attempt.spawn_on(probe, &self.runtime);
        match attempt.join_next().await {
            Some(Ok(probe)) => probe,
            _ => Probe::broken(),
        }
    }
}

fn key(node: &BackendNode) -> usize {
    Arc::as_ptr(&node.live).addr()
}

async fn keep_schedule(watch: Arc<Watch>, monitor: Arc<Monitor>) {
    let mut checks = monitor.check();
    let live = &monitor.node.live;
    loop {
        let asked = Arc::clone(&checks.borrow_and_update());
        let probe = async {
            let _turn = watch.turns.acquire().await;
            let begun = Instant::now();
            (watch.probe(watch.node(&monitor), Arc::clone(&asked)).await, begun.elapsed())
        };
        tokio::pin!(probe);
        let probed = loop {
            // Failures of traffic may eject the backend while a probe still waits for its answer.
            tokio::select! {
                probed = &mut probe => break Some(probed),
                () = live.passive_failure_noted() => { monitor.record_traffic(); }
                Ok(()) = checks.changed() => {
                    if !checks.borrow_and_update().asks_the_same(&asked) {
                        break None;
                    }
                }
            }
        };
        // What is no longer asked needs no answer.
        let Some((probe, took)) = probed else { continue };
        monitor.record(probe);
        let ended = Instant::now();
        let interval = {
            let check = checks.borrow_and_update();
            if !check.asks_the_same(&asked) {
                continue;
            }
            check.interval
        };
        let soon = interval.min(FAST_INTERVAL);
        let mut next = ended + jittered(monitor.pause(interval, took));
        loop {
            let hurry = tokio::select! {
                () = sleep_until(next) => break,
                () = live.passive_failure_noted() => monitor.record_traffic(),
                () = monitor.moved() => true,
                Ok(()) = checks.changed() => {
                    let check = checks.borrow_and_update();
                    let pause = if check.asks_the_same(&asked) {
                        jittered(check.interval)
                    } else {
                        spread(check.interval.min(FAST_INTERVAL))
                    };
                    next = next.min(Instant::now() + pause);
                    false
                }
            };
            if hurry {
                next = next.min((ended + soon).max(Instant::now()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
