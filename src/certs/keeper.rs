//! The task that keeps certificates: follows the state, starts work that is due, and handles its
//! outcomes. One file for each kind of event that wakes it.

mod commands;
mod demanded;
mod due;
mod ended;
mod wanted;
mod watched;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::alarm;
use super::command::Command;
use super::context::{Journal, KeeperContext};
use super::demand::DemandLimits;
use super::entry::{Entry, Urgency};
use super::files::Files;
use super::job::JobOutcome;
use super::stored::StoredCertificates;
use crate::clock::date;
use crate::model::{CertificateNews, CertificateReport, CertificateSource, DomainName};
use crate::state::Snapshot;
use crate::tls::{Demands, Served, Slot};

/// The wall clock may be set in between.
const MAX_SLEEP: Duration = Duration::from_mins(1);

/// The most orders at once.
const MAX_RUNNING_ORDERS: usize = 8;

/// Between two checks of the operator's files.
const FILES_INTERVAL: Duration = Duration::from_secs(1);

/// Between two checks for expiring certificates.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(10);

/// How soon to ask a CA for its renewal window again.
const WINDOW_INTERVAL_SECS: std::ops::Range<u64> = 3600..12 * 3600;

pub(super) struct Keeper {
    shared: Arc<KeeperContext>,
    journal: Journal,
    followed: Arc<Snapshot>,
    files: Files,
    /// When work on a name is due.
    due: BTreeSet<(SystemTime, DomainName)>,
    /// Names whose first certificate waits to be ordered, and names that have one.
    first: VecDeque<DomainName>,
    renewals: VecDeque<DomainName>,
    jobs: JoinSet<(DomainName, JobOutcome)>,
    ordering: usize,
    /// When orders were begun, by CA.
    begun: BTreeMap<usize, VecDeque<Instant>>,
    /// CAs that have a limit, and until when.
    paused: BTreeMap<usize, SystemTime>,
    demand_limits: DemandLimits,
    /// Names on demand that wait to be checked before the order.
    to_ask: VecDeque<DomainName>,
    asking: usize,
}

impl Keeper {
    /// Reads the stored certificates and publishes them for the current names. Blocks.
    pub(super) fn open(shared: Arc<KeeperContext>, journal: Journal) -> Self {
        let mut keeper = Self {
            shared,
            journal,
            followed: Arc::default(),
            files: Files::default(),
            due: BTreeSet::new(),
            first: VecDeque::new(),
            renewals: VecDeque::new(),
            jobs: JoinSet::new(),
            ordering: 0,
            begun: BTreeMap::new(),
            paused: BTreeMap::new(),
            demand_limits: DemandLimits::default(),
            to_ask: VecDeque::new(),
            asking: 0,
        };
        let stored = StoredCertificates::open(&keeper.shared);
        keeper.open_default();
        keeper.follow(Some(&stored));
        keeper
    }

    /// Keeps certificates until nobody publishes states any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut demands: Demands) {
        let mut reader = self.shared.reader.clone();
        let mut look = tokio::time::interval(FILES_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = tokio::time::interval(EXPIRY_INTERVAL);
        let shared = Arc::clone(&self.shared);
        loop {
            self.start_due();
            let sleep = self.sleep();
            let has_files = !self.files.is_empty();
            tokio::select! {
                changed = reader.changed() => match changed {
                    Ok(()) => tokio::task::block_in_place(|| self.follow(None)),
                    Err(_) => break,
                },
                () = shared.reloaded.notified() => self.try_local_failures_again(),
                Some(command) = commands.recv() => self.run_command(command).await,
                Some(demand) = demands.recv() => self.demanded(demand),
                Some(ended) = self.jobs.join_next() => {
                    if let Ok((name, ended)) = ended {
                        self.ended(&name, ended).await;
                    }
                }
                _ = look.tick(), if has_files => self.look_at_files().await,
                _ = watch.tick() => self.look_at_ends(),
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// The time until the next work is due.
    fn sleep(&self) -> Duration {
        let now = SystemTime::now();
        let next = self.due.first().map(|(at, _)| *at).into_iter();
        let queue = !self.first.is_empty() || !self.renewals.is_empty();
        let queued =
            (queue && self.ordering < MAX_RUNNING_ORDERS).then(|| now + Duration::from_millis(250));
        let until = next.chain(queued).min();
        let wait = until.map_or(MAX_SLEEP, |at| at.duration_since(now).unwrap_or_default());
        let denied = self.demand_limits.next();
        let denied = denied.map_or(MAX_SLEEP, |at| at.duration_since(Instant::now()));
        wait.min(denied).clamp(Duration::from_millis(1), MAX_SLEEP)
    }

    /// Inserts an entry and returns its slot for handshakes.
    fn put(&mut self, name: &DomainName, entry: Entry) -> Slot {
        let (slot, due) = (entry.slot(), entry.due());
        let before = self.shared.table.write().insert(name.clone(), entry);
        self.reschedule(name, before.and_then(|entry| entry.due()), due);
        slot
    }

    /// Edits an entry, publishes the result, and returns its report.
    fn edit(
        &mut self,
        name: &DomainName,
        edit: impl FnOnce(&mut Entry),
    ) -> Option<CertificateReport> {
        let (before, due, slot, report) = {
            let mut table = self.shared.table.write();
            let entry = table.get_mut(name)?;
            let before = entry.due();
            edit(entry);
            (before, entry.due(), entry.slot(), entry.report(name, SystemTime::now()))
        };
        self.reschedule(name, before, due);
        self.shared.store.publish(&[(name.clone(), Some(slot))]);
        self.shared.changed.send_replace(());
        Some(report)
    }

    fn forget(&mut self, name: &DomainName) {
        let before = self.shared.table.write().remove(name);
        self.reschedule(name, before.and_then(|entry| entry.due()), None);
    }

    /// Logs once for each certificate that it is overdue for renewal, and once that it expires
    /// soon.
    fn look_at_ends(&self) {
        let now = SystemTime::now();
        for (name, entry) in self.shared.table.write().iter_mut() {
            let urgency = alarm::urgency(entry, now);
            if urgency > entry.logged {
                let not_after = entry.served.as_ref().map(|(_, s)| date(s.certificate.not_after()));
                let error = entry.trouble.as_ref().map(|trouble| trouble.text.as_str());
                if urgency == Urgency::Act {
                    tracing::error!(%name, not_after, error, "certificate expires soon");
                } else {
                    tracing::warn!(%name, not_after, error, "certificate is overdue for renewal");
                }
            }
            entry.logged = urgency;
        }
    }

    fn reschedule(
        &mut self,
        name: &DomainName,
        before: Option<SystemTime>,
        due: Option<SystemTime>,
    ) {
        if before == due {
            return;
        }
        if let Some(at) = before {
            self.due.remove(&(at, name.clone()));
        }
        if let Some(at) = due {
            self.due.insert((at, name.clone()));
        }
    }
}

/// When to ask a CA again: spread, so that ten thousand names don't ask at once.
fn look_again() -> Duration {
    Duration::from_secs(fastrand::u64(WINDOW_INTERVAL_SECS))
}

fn served_news(served: &Served, source: CertificateSource, renewed: bool) -> CertificateNews {
    let facts = served.certificate.facts();
    CertificateNews::Served {
        source,
        issuer: facts.issuer.clone(),
        serial: facts.serial.clone(),
        not_after_ms: facts.not_after_ms,
        renewed,
    }
}

#[cfg(test)]
mod tests;
