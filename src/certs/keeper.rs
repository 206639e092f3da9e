//! The task that keeps certificates: follows the state, starts what is due, takes in how it ended. One
//! file for each of the things that wake it.

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
use super::demand::DemandLimits;
use super::entry::{Entry, Urgency};
use super::files::Files;
use super::job::Ended;
use super::shared::{Journal, Shared};
use super::shelf::Shelf;
use crate::model::{CertificateNews, CertificateReport, CertificateSource, DomainName};
use crate::state::Snapshot;
use crate::tls::{Demands, Served, Slot};

/// The longest sleep: the wall clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Between two looks at files of the operator.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks at what runs out.
const WATCH: Duration = Duration::from_mins(10);

/// How soon a CA is asked again when it wants a certificate renewed.
const LOOK_AGAIN: std::ops::Range<u64> = 3600..12 * 3600;

pub(super) struct Keeper {
    shared: Arc<Shared>,
    journal: Journal,
    followed: Arc<Snapshot>,
    files: Files,
    /// When something is to be done about a name.
    due: BTreeSet<(SystemTime, DomainName)>,
    /// Names whose first certificate is to be ordered, and those that have one.
    first: VecDeque<DomainName>,
    renewals: VecDeque<DomainName>,
    jobs: JoinSet<(DomainName, Ended)>,
    ordering: usize,
    /// When orders were begun, by CA.
    begun: BTreeMap<usize, VecDeque<Instant>>,
    /// CAs that want to be left alone, until when.
    paused: BTreeMap<usize, SystemTime>,
    demand_limits: DemandLimits,
    /// Names on demand that are to be asked about before they are ordered for.
    to_ask: VecDeque<DomainName>,
    asking: usize,
}

impl Keeper {
    /// Reads what is stored and publishes it for the names of now. Blocks.
    pub(super) fn open(shared: Arc<Shared>, journal: Journal) -> Self {
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
        let shelf = Shelf::open(&keeper.shared);
        keeper.open_default();
        keeper.follow(Some(&shelf));
        keeper
    }

    /// Keeps certificates until nobody publishes states any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut demands: Demands) {
        let mut reader = self.shared.reader.clone();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = tokio::time::interval(WATCH);
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
                Some(command) = commands.recv() => self.carry_out(command).await,
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

    /// How long nothing is to be done.
    fn sleep(&self) -> Duration {
        let now = SystemTime::now();
        let next = self.due.first().map(|(at, _)| *at).into_iter();
        let queue = !self.first.is_empty() || !self.renewals.is_empty();
        let queued =
            (queue && self.ordering < due::AT_ONCE).then(|| now + Duration::from_millis(250));
        let until = next.chain(queued).min();
        let wait = until.map_or(LONGEST_SLEEP, |at| at.duration_since(now).unwrap_or_default());
        let denied = self.demand_limits.next();
        let denied = denied.map_or(LONGEST_SLEEP, |at| at.duration_since(Instant::now()));
        wait.min(denied).clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    /// Puts an entry and gives what handshakes are to see of it.
    fn put(&mut self, name: &DomainName, entry: Entry) -> Slot {
        let (slot, due) = (entry.slot(), entry.due());
        let before = self.shared.table.write().insert(name.clone(), entry);
        self.reschedule(name, before.and_then(|entry| entry.due()), due);
        slot
    }

    /// Edits an entry, publishes what it leads to, and gives how it stands then.
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

    /// Logs, once each, that a certificate runs out that should have been replaced by now.
    fn look_at_ends(&self) {
        let now = SystemTime::now();
        for (name, entry) in self.shared.table.write().iter_mut() {
            let urgency = alarm::urgency(entry, now);
            if urgency > entry.logged {
                let not_after = entry.served.as_ref().map(|(_, s)| date(s.certificate.not_after()));
                let error = entry.trouble.as_ref().map(|trouble| trouble.text.as_str());
                if urgency == Urgency::Act {
                    tracing::error!(%name, not_after, error, "certificate runs out");
                } else {
                    tracing::warn!(%name, not_after, error, "certificate should be replaced by now");
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

/// When a CA is asked again: spread, so that ten thousand names are not asked about at once.
fn look_again() -> Duration {
    Duration::from_secs(fastrand::u64(LOOK_AGAIN))
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

/// The day, for people.
pub(super) fn date(at: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.chars().take(10).collect()
}

#[cfg(test)]
mod tests;
