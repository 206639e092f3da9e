//! One watched backend: every outcome of a probe or of traffic is recorded here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::change::HealthChange;
use super::ejection::EjectionCap;
use super::pace::{FAST_INTERVAL, Recoveries, Recovery};
use super::probe::Probe;
use super::threshold::Threshold;
use crate::clock::now_ms;
use crate::model::{BackendAddr, HealthCheck, HealthReport, HealthStatus};
use crate::state::{BackendNode, Endpoints};

/// The result of one probe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// Whether this probe passed.
    pub passed: bool,
    /// The backend's health after it.
    pub report: HealthReport,
}

/// The health room's state of a backend.
///
/// The schedule and the gate of a switch both probe: outcomes count in the order in which they get
/// the lock. It is here and not in `BackendLive`, whose atomics requests read: so the request path
/// has no lock, and `state` needs no thresholds.
#[derive(Debug)]
pub(super) struct Monitor {
    /// The backend when the watch began. Its tags, weight, state and the contents of its files may
    /// have changed since; its id, address, scheme and TLS can't, because those make a new
    /// `BackendLive`.
    pub(super) node: BackendNode,
    /// Its health check as it is now.
    check: watch::Sender<Arc<HealthCheck>>,
    observed: Mutex<Observed>,
    moved: Notify,
    cap: Arc<EjectionCap>,
    recoveries: Recoveries,
    changes: broadcast::Sender<HealthChange>,
}

#[derive(Debug)]
struct Observed {
    threshold: Threshold,
    report: HealthReport,
    /// While it is unhealthy.
    recovery: Option<Recovery>,
    /// Whether passive failures would have ejected it without the cap.
    is_held_in: bool,
}

impl Observed {
    fn new(check: &HealthCheck) -> Self {
        let (threshold, report) = (Threshold::new(check), HealthReport::default());
        Self { threshold, report, recovery: None, is_held_in: false }
    }

    /// Goes on from what is known of it already: by the process before this one.
    fn resume(&mut self, known: HealthReport, recoveries: &Recoveries) {
        self.threshold.resume(known.status);
        self.recovery = (known.status == HealthStatus::Unhealthy).then(|| recoveries.begin());
        self.report = known;
    }

    /// Something has changed that may make it healthy soon.
    fn look_again(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            recovery.since = Instant::now();
        }
    }
}

impl Monitor {
    pub(super) fn new(
        node: BackendNode,
        check: Arc<HealthCheck>,
        cap: Arc<EjectionCap>,
        recoveries: Recoveries,
        changes: broadcast::Sender<HealthChange>,
    ) -> Self {
        let mut observed = Observed::new(&check);
        observed.resume(node.live.health_report(), &recoveries);
        let observed = Mutex::new(observed);
        let (check, moved) = (watch::Sender::new(check), Notify::new());
        Self { node, check, observed, moved, cap, recoveries, changes }
    }

    /// Records the outcome of a probe and publishes the result.
    pub(super) fn record(&self, probe: Probe) -> Verdict {
        let mut observed = self.observed.lock();
        self.take_traffic(&mut observed);
        let passed = probe.error.is_none();
        let now = now_ms();
        let changed = if passed {
            observed.threshold.probe_passed()
        } else {
            observed.threshold.probe_failed()
        };
        let report = &mut observed.report;
        report.checked_ms = Some(now);
        report.latency_ms = Some(probe.latency.into());
        report.last_status = probe.status;
        report.failed_ms = (!passed).then_some(now);
        report.last_error = probe.error;
        let (id, address) = (&self.node.backend.id, &self.node.backend.address);
        debug!(
            backend_id = %id,
            upstream_addr = %address,
            passed,
            status = report.last_status,
            duration_ms = probe.latency.as_secs_f64() * 1000.0,
            reason = report.last_error.as_deref(),
            "backend was probed",
        );
        if passed && let Some(address) = probe.address {
            self.prefer(address);
        }
        self.publish(&mut observed, changed, now);
        Verdict { passed, report: observed.report.clone() }
    }

    /// Records the outcomes of traffic. Returns whether to probe soon.
    pub(super) fn record_traffic(&self) -> bool {
        self.take_traffic(&mut self.observed.lock())
    }

    /// Resets the health: a disabled backend is not watched, and its old health says nothing about
    /// later.
    pub(super) fn forget(&self) {
        let mut observed = self.observed.lock();
        *observed = Observed::new(&self.check.borrow());
        self.node.live.note_success();
        self.node.live.set_health_report(HealthReport::default());
    }

    /// Goes by another check from the next outcome on. The health stays until then.
    pub(super) fn set_check(&self, check: Arc<HealthCheck>) {
        let mut observed = self.observed.lock();
        observed.threshold.follow(&check);
        if !self.check.borrow().asks_the_same(&check) {
            observed.look_again();
        }
        self.check.send_if_modified(|now| std::mem::replace(now, check) != *now);
    }

    /// The check, and its changes.
    pub(super) fn check(&self) -> watch::Receiver<Arc<HealthCheck>> {
        self.check.subscribe()
    }

    /// The time from a probe that `took` so long to the next.
    pub(super) fn pause(&self, interval: Duration, took: Duration) -> Duration {
        let observed = self.observed.lock();
        match &observed.recovery {
            _ if !observed.threshold.is_settled() => interval.min(FAST_INTERVAL),
            Some(recovery) => recovery.pause(took, interval),
            None => interval,
        }
    }

    /// Publishes the addresses that the backend's name stands for, with the backend's port, unless they
    /// are the same.
    pub(super) fn set_addresses(&self, addresses: &[SocketAddr]) {
        let BackendAddr::Name { port, .. } = self.node.backend.address else { return };
        let mut observed = self.observed.lock();
        let now = self.node.live.endpoints();
        let at_port = |address: &SocketAddr| {
            let mut address = *address;
            address.set_port(port);
            address
        };
        let is_known = |address: &SocketAddr| match &**now {
            Endpoints::Tcp(known) => known.contains(&at_port(address)),
            Endpoints::Unix(_) => false,
        };
        // The order comes from probes (see `prefer`), so it does not count as a difference.
        if now.len() != addresses.len() || !addresses.iter().all(is_known) {
            let next = addresses.iter().map(at_port).collect();
            self.node.live.set_endpoints(Endpoints::Tcp(next));
            observed.look_again();
            self.moved.notify_one();
        }
    }

    /// Waits until the name has other addresses than at the last wait.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Moves the address that answered to the front. `localhost` often is `::1` and `127.0.0.1`
    /// while the backend listens on one of them: traffic should not try the other at every connect.
    fn prefer(&self, address: SocketAddr) {
        let now = self.node.live.endpoints();
        if let Endpoints::Tcp(known) = &**now
            && let Some(index) = known.iter().position(|known| *known == address)
            && index > 0
        {
            let mut next = known.clone();
            next[..=index].rotate_right(1);
            self.node.live.set_endpoints(Endpoints::Tcp(next));
        }
    }

    fn take_traffic(&self, observed: &mut Observed) -> bool {
        let live = &self.node.live;
        let taken = live.take_passive_failures();
        if live.passive_failures() == 0 {
            observed.threshold.traffic_succeeded();
            observed.is_held_in = false;
        }
        let Some((in_row, why)) = taken else { return false };
        if observed.threshold.status() == HealthStatus::Unhealthy {
            return false;
        }
        let now = now_ms();
        let cap = if observed.threshold.would_put_out(in_row) {
            self.cap.allows(&self.node)
        } else {
            Ok(())
        };
        let changed = match &cap {
            Ok(()) => observed.threshold.traffic_failed(in_row),
            Err(_) => false,
        };
        let held_in = cap.err().map(|tag| {
            format!("; it stays in service, because too many backends of `{tag}` would be out")
        });
        let reason = format!("traffic failed: {why}{}", held_in.as_deref().unwrap_or_default());
        if held_in.is_some() && !observed.is_held_in {
            let (id, address) = (&self.node.backend.id, &self.node.backend.address);
            warn!(backend_id = %id, upstream_addr = %address, reason, "failing backend is not ejected");
        }
        observed.is_held_in = held_in.is_some();
        observed.report.last_error = Some(reason);
        observed.report.failed_ms = Some(now);
        self.publish(observed, changed, now);
        true
    }

    fn publish(&self, observed: &mut Observed, changed: bool, now: u64) {
        let report = &mut observed.report;
        let before = std::mem::replace(&mut report.status, observed.threshold.status());
        if changed {
            report.since_ms = Some(now);
            let is_down = report.status == HealthStatus::Unhealthy;
            observed.recovery = is_down.then(|| self.recoveries.begin());
        }
        self.node.live.set_health_report(report.clone());
        if !changed {
            return;
        }
        let (id, address) = (&self.node.backend.id, &self.node.backend.address);
        let reason = report.last_error.as_deref().unwrap_or("enough probes in a row passed");
        // Nobody may follow, and none who does is waited for.
        let _ = self.changes.send(HealthChange {
            at_ms: now,
            backend: id.clone(),
            from: before,
            to: report.status,
            reason: reason.to_owned(),
        });
        match report.status {
            HealthStatus::Healthy => {
                // The failures that ejected it are settled.
                self.node.live.note_success();
                info!(backend_id = %id, upstream_addr = %address, reason, "backend is healthy");
            }
            HealthStatus::Unhealthy => {
                warn!(backend_id = %id, upstream_addr = %address, reason, "backend is unhealthy");
            }
            HealthStatus::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests;
