//! The task that keeps certificates: follows the state, starts what is due, takes in how it ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::command::{Command, Reply};
use super::demand::DemandLimits;
use super::entry::{Entry, Trouble, Work};
use super::error::CertError;
use super::files::{self, Files, Found};
use super::job::{self, Ended, Failure, Obtained};
use super::plan::{Plan, plan};
use super::shared::{Journal, Shared, millis, time};
use super::shelf::Shelf;
use crate::acme::{ErrorKind, Meta, RenewalWindow, schedule};
use crate::config::CertificateFiles;
use crate::model::{
    Actor, Attempt, CertificateNews, CertificateReport, CertificateSource, DomainName, Pattern,
    TlsMode,
};
use crate::state::Snapshot;
use crate::tls::{Demands, Served, Slot, Trust};

/// Orders that are made at once.
const AT_ONCE: usize = 8;

/// Orders at one CA within [`SPAN`], at most. Let's Encrypt allows 300 in 3 hours to an account.
const AT_PUBLIC: usize = 10;
const AT_PRIVATE: usize = 100;
const SPAN: Duration = Duration::from_secs(10);

/// Failed attempts after which the next CA is tried.
const PATIENCE: u32 = 3;

/// The longest sleep: the wall clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Between two looks at files of the operator.
const LOOK: Duration = Duration::from_secs(1);

/// Names that come together and get a certificate of our own CA at once. Those of a larger crowd get
/// theirs when somebody asks for it.
const EAGER: usize = 100;

/// Names below wildcards that get a certificate of our own CA when somebody asks.
const MOST_BELOW: usize = 10_000;

/// How soon a CA is asked again when it wants a certificate renewed.
const LOOK_AGAIN: std::ops::Range<u64> = 3600..12 * 3600;

/// Certificates issued for one name within [`WEEK`], at most, while the one before was good.
pub(super) const PER_WEEK: usize = 4;
pub(super) const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

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
        };
        let shelf = Shelf::open(&keeper.shared);
        keeper.open_default();
        keeper.follow(Some(shelf));
        keeper
    }

    /// Keeps certificates until nobody publishes states any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut demands: Demands) {
        let mut reader = self.shared.reader.clone();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.start_due();
            let sleep = self.sleep();
            let has_files = !self.files.watched().is_empty();
            tokio::select! {
                changed = reader.changed() => match changed {
                    Ok(()) => tokio::task::block_in_place(|| self.follow(None)),
                    Err(_) => break,
                },
                Some(command) = commands.recv() => self.carry_out(command).await,
                Some(host) = demands.recv() => self.demanded(&host),
                Some(ended) = self.jobs.join_next() => {
                    if let Ok((name, ended)) = ended {
                        self.ended(&name, ended).await;
                    }
                }
                _ = look.tick(), if has_files => self.look_at_files().await,
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// How long nothing is to be done.
    fn sleep(&self) -> Duration {
        let now = SystemTime::now();
        let next = self.due.first().map(|(at, _)| *at).into_iter();
        let queue = !self.first.is_empty() || !self.renewals.is_empty();
        let queued = (queue && self.ordering < AT_ONCE).then(|| now + Duration::from_millis(250));
        let until = next.chain(queued).min();
        let wait = until.map_or(LONGEST_SLEEP, |at| at.duration_since(now).unwrap_or_default());
        let denied = self.demand_limits.next();
        let denied = denied.map_or(LONGEST_SLEEP, |at| at.duration_since(Instant::now()));
        wait.min(denied).clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    // --- what is wanted ---

    /// Takes in the state of now: names that came, went, or want their certificate from elsewhere. All
    /// that is stored is in the shelf, or is read as it is needed.
    fn follow(&mut self, shelf: Option<Shelf>) {
        let snapshot = self.shared.reader.load();
        let before = std::mem::replace(&mut self.followed, Arc::clone(&snapshot));
        let mut gone: BTreeSet<DomainName> = BTreeSet::new();
        let mut wanted: Vec<(DomainName, DomainName, TlsMode)> = Vec::new();
        for (was, now) in snapshot.domains_changed_since(&before) {
            gone.extend(was.into_iter().flat_map(|was| was.names().cloned()));
            if let Some(now) = now {
                let names = now.names();
                wanted
                    .extend(names.map(|name| (name.clone(), now.domain.clone(), now.tls.clone())));
            }
        }
        if !gone.is_empty() {
            // What was made on demand goes with its domain, or when that says something else.
            let table = self.shared.table.read();
            let below = table.iter().filter(|(_, e)| e.on_demand && gone.contains(&e.domain));
            let below: Vec<_> = below.map(|(name, _)| name.clone()).collect();
            gone.extend(below);
        }
        for (name, ..) in &wanted {
            gone.remove(name);
        }
        let mut changes: Vec<(DomainName, Option<Slot>)> = Vec::new();
        for name in gone {
            self.forget(&name);
            changes.push((name, None));
        }
        let mut made = 0;
        for (name, domain, tls) in wanted {
            let slot = self.want(&name, domain, &tls, shelf.as_ref(), &mut made);
            changes.push((name, slot));
        }
        if let Some(shelf) = &shelf {
            changes.extend(self.restore_demanded(shelf));
        }
        if !changes.is_empty() {
            let table = self.shared.table.read();
            let default = self.shared.settings.default_certificate.as_ref();
            self.files.keep(|cert, key| {
                default.is_some_and(|files| files.cert == cert && files.key == key)
                    || table.values().any(|entry| {
                        matches!(&entry.plan, Plan::Files { cert: c, key: k } if c == cert && k == key)
                    })
            });
        }
        self.shared.store.publish(&changes);
        self.shared.store.catch_up(snapshot.revision());
        self.shared.changed.send_replace(());
    }

    /// Sees to a name that is served. What handshakes are to see of it, where anything.
    fn want(
        &mut self,
        name: &DomainName,
        domain: DomainName,
        tls: &TlsMode,
        shelf: Option<&Shelf>,
        made: &mut usize,
    ) -> Option<Slot> {
        let settings = &self.shared.settings;
        let plan = plan(name, tls, &settings.cas, settings.on_demand.is_some());
        if let Some(entry) = self.shared.table.write().get_mut(name)
            && entry.plan == plan
            && !entry.on_demand
        {
            entry.domain = domain;
            return Some(entry.slot());
        }
        self.forget(name);
        let own;
        let stored = match shelf {
            Some(shelf) => shelf,
            None => {
                own = Shelf::of(&self.shared, name);
                &own
            }
        };
        let mut entry = Entry::new(domain, plan);
        if *tls == TlsMode::Auto
            && let Some(served) = stored.imported.get(name)
        {
            entry.served = Some((CertificateSource::Imported, Arc::clone(served)));
            entry.work = Work::Rest(None);
            return Some(self.put(name, entry));
        }
        match entry.plan.clone() {
            Plan::Nowhere { .. } => return None,
            Plan::OnDemand => {}
            Plan::Blocked { error, hint } => {
                tracing::warn!(%name, error, "no certificate can be ordered");
                entry.trouble = Some(Trouble { text: error, hint, blocks: true });
            }
            // Each name below it gets its own, when somebody asks.
            Plan::Internal { .. } if matches!(name.pattern(), Pattern::Wildcard(_)) => {}
            Plan::Internal { .. } => {
                *made += 1;
                if *made <= EAGER {
                    self.make(name, &mut entry);
                }
            }
            Plan::Files { cert, key } => {
                let files = CertificateFiles { cert, key };
                let opened = self.files.open(&files, &self.shared.serving);
                entry.take_file(name, opened.map_err(|(error, good)| (Some(error), good)));
                if let Some(trouble) = &entry.trouble {
                    tracing::error!(%name, error = trouble.text, "certificate files can't be used");
                }
            }
            Plan::Acme => self.take_shelved(name, &mut entry, stored),
        }
        Some(self.put(name, entry))
    }

    /// Goes on with an ACME certificate where it was left.
    fn take_shelved(&self, name: &DomainName, entry: &mut Entry, shelf: &Shelf) {
        let now = SystemTime::now();
        let mut next = now;
        if let Some(shelved) = shelf.acme.get(name) {
            entry.meta = shelved.meta.clone();
            entry.directory_url = Some(shelved.directory_url.clone());
            if let Some(served) = &shelved.served {
                entry.served = Some((CertificateSource::Acme, Arc::clone(served)));
                next = job::renewal(&mut entry.meta, &served.certificate);
                next = next.min(now + look_again());
                if shelved.directory_url.is_empty() {
                    entry.directory_url = None;
                    next = now;
                }
            }
            if let (Some(error), Some(at)) = (&entry.meta.last_error, entry.meta.next_ms) {
                // A restart is no reason to ask again sooner.
                entry.trouble = Some(Trouble { text: error.clone(), hint: None, blocks: false });
                next = time(at).min(now + Duration::from_secs(24 * 3600));
            }
        }
        entry.work = Work::Rest(Some(next));
    }

    /// Names that were demanded before and still have their certificate.
    fn restore_demanded(&mut self, shelf: &Shelf) -> Vec<(DomainName, Option<Slot>)> {
        let Some(default) = self.default_domain() else { return Vec::new() };
        let mut changes = Vec::new();
        for name in shelf.acme.keys() {
            let host = name.to_string();
            let is_known = self.shared.table.read().contains_key(name);
            let routed = self.followed.route(&host).map(|node| &node.virtual_host.domain);
            if is_known || routed != Some(&default) {
                continue;
            }
            let mut entry = Entry::new(default.clone(), Plan::OnDemand);
            entry.on_demand = true;
            self.take_shelved(name, &mut entry, shelf);
            if entry.served.is_some() {
                let slot = self.put(name, entry);
                changes.push((name.clone(), Some(slot)));
            }
        }
        changes
    }

    /// The domain `*`, where certificates are ordered on demand for it.
    fn default_domain(&self) -> Option<DomainName> {
        let domain: DomainName = "*".parse().ok()?;
        let node = self.followed.domain(&domain)?;
        let on_demand = self.shared.settings.on_demand.is_some();
        (on_demand && node.virtual_host.tls == TlsMode::Auto)
            .then(|| node.virtual_host.domain.clone())
    }

    /// Makes a certificate of our own CA.
    fn make(&self, name: &DomainName, entry: &mut Entry) {
        let Plan::Internal { asked } = entry.plan else { return };
        let made = self.shared.authority().and_then(|authority| authority.issue(name));
        match made {
            Ok(certificate) => {
                let trust = if asked { Trust::Public } else { Trust::Private };
                let left = schedule::renew_at(
                    certificate.not_before(),
                    certificate.not_after(),
                    None,
                    fastrand::f64(),
                );
                let served = Arc::new(self.shared.serving.serve(certificate, trust));
                entry.served = Some((CertificateSource::Internal, served));
                entry.work = Work::Rest(Some(left));
                entry.trouble = None;
            }
            Err(error) => {
                let text = CertError::from(error).in_full();
                tracing::error!(%name, error = text, "no certificate can be made");
                entry.trouble = Some(Trouble { text, hint: None, blocks: false });
                entry.work = Work::Rest(Some(SystemTime::now() + Duration::from_secs(60)));
            }
        }
    }

    fn open_default(&mut self) {
        let Some(files) = self.shared.settings.default_certificate.clone() else { return };
        match self.files.open(&files, &self.shared.serving) {
            Ok(served) => self.shared.store.publish_default(Some(served)),
            Err((error, _)) => tracing::error!(error, "the default certificate can't be used"),
        }
    }

    // --- the table ---

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

    // --- what is due ---

    fn start_due(&mut self) {
        let now = SystemTime::now();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.due.pop_first() else { break };
            self.start(&name, now);
        }
        let forgotten = self.demand_limits.forgotten(Instant::now());
        let forgotten: Vec<_> = forgotten.into_iter().map(|name| (name, None)).collect();
        self.shared.store.publish(&forgotten);
        self.start_orders(now);
    }

    /// Begins what is due for a name.
    fn start(&mut self, name: &DomainName, now: SystemTime) {
        let (plan, served, renewal, has_trouble) = {
            let mut table = self.shared.table.write();
            let Some(entry) = table.get_mut(name) else { return };
            let served = entry.served.clone();
            let renewal = match &served {
                Some((CertificateSource::Acme, served)) => {
                    job::renewal(&mut entry.meta, &served.certificate)
                }
                _ => now,
            };
            // The time has been taken out of what is due.
            entry.work = Work::Rest(None);
            (entry.plan.clone(), served, renewal, entry.trouble.is_some())
        };
        match plan {
            Plan::Internal { .. } => {
                let mut entry = self.shared.table.write().remove(name);
                if let Some(entry) = &mut entry {
                    self.make(name, entry);
                }
                if let Some(entry) = entry {
                    let slot = self.put(name, entry);
                    self.shared.store.publish(&[(name.clone(), Some(slot))]);
                }
            }
            Plan::Acme | Plan::OnDemand => match served {
                Some((_, served)) if renewal > now && !has_trouble => self.ask_window(name, served),
                Some(_) => self.queue(name, false),
                None => self.queue(name, true),
            },
            Plan::Files { .. } | Plan::Blocked { .. } | Plan::Nowhere { .. } => {}
        }
    }

    fn queue(&mut self, name: &DomainName, is_first: bool) {
        let queue = if is_first { &mut self.first } else { &mut self.renewals };
        if !queue.contains(name) {
            queue.push_back(name.clone());
        }
        self.edit(name, |entry| entry.work = Work::Queued);
    }

    /// Asks the CA whether it wants a certificate renewed sooner than was thought.
    fn ask_window(&mut self, name: &DomainName, served: Arc<Served>) {
        let url = self.shared.table.read().get(name).and_then(|e| e.directory_url.clone());
        let ca =
            self.shared.settings.cas.iter().find(|ca| Some(ca.directory_url()) == url.as_deref());
        match ca.cloned() {
            Some(ca) => {
                let name = name.clone();
                self.jobs.spawn(async move { (name, job::window(ca, served).await) });
            }
            // Of a CA that is not configured any more: another one's takes its place.
            None => self.queue(name, false),
        }
    }

    /// Begins as many of the orders that wait as may be.
    fn start_orders(&mut self, now: SystemTime) {
        self.paused.retain(|_, until| *until > now);
        for is_first in [true, false] {
            let queue = if is_first { &mut self.first } else { &mut self.renewals };
            let mut waiting = std::mem::take(queue);
            let mut left = VecDeque::new();
            while let Some(name) = waiting.pop_front() {
                if self.ordering >= AT_ONCE {
                    left.push_back(name);
                    left.append(&mut waiting);
                    break;
                }
                if !self.start_order(&name) {
                    left.push_back(name);
                }
            }
            let queue = if is_first { &mut self.first } else { &mut self.renewals };
            left.append(queue);
            *queue = left;
        }
    }

    /// Begins an order, unless its CA is to be left alone; then `false`.
    fn start_order(&mut self, name: &DomainName) -> bool {
        let shared = Arc::clone(&self.shared);
        let order = {
            let table = shared.table.read();
            let Some(entry) = table.get(name).filter(|entry| entry.work == Work::Queued) else {
                return true;
            };
            let cas = &shared.settings.cas;
            let index =
                usize::try_from(entry.meta.attempts / PATIENCE).unwrap_or(0) % cas.len().max(1);
            let Some(ca) = cas.get(index) else { return true };
            if self.paused.contains_key(&index) || !self.has_room(index, ca.is_public()) {
                return false;
            }
            let replaces = entry.directory_url.clone().zip(entry.served.as_ref());
            job::Order {
                name: name.clone(),
                cas: cas[index..].iter().chain(&cas[..index]).cloned().collect(),
                meta: entry.meta.clone(),
                replaces: replaces.map(|(url, (_, served))| (url, Arc::clone(served))),
                failed_challenge: entry.failed_challenge,
                ask: shared
                    .settings
                    .on_demand
                    .as_ref()
                    .filter(|_| entry.on_demand)
                    .map(|on_demand| on_demand.ask.clone()),
            }
        };
        self.ordering += 1;
        self.edit(name, |entry| entry.work = Work::Running("beginning".to_owned()));
        let (name, told) = (name.clone(), Arc::clone(&self.shared));
        self.jobs.spawn(async move {
            let own = name.clone();
            let step = move |step: &str| {
                if let Some(entry) = told.table.write().get_mut(&own)
                    && matches!(entry.work, Work::Running(_))
                {
                    entry.work = Work::Running(step.to_owned());
                }
                told.changed.send_replace(());
            };
            (name, job::order(shared, order, step).await)
        });
        true
    }

    /// Whether a CA may be asked for one more; it is counted if so.
    fn has_room(&mut self, ca: usize, is_public: bool) -> bool {
        let now = Instant::now();
        let begun = self.begun.entry(ca).or_default();
        while begun.front().is_some_and(|at| now.duration_since(*at) >= SPAN) {
            begun.pop_front();
        }
        let has_room = begun.len() < if is_public { AT_PUBLIC } else { AT_PRIVATE };
        if has_room {
            begun.push_back(now);
        }
        has_room
    }

    // --- how it ended ---

    async fn ended(&mut self, name: &DomainName, ended: Ended) {
        match ended {
            Ended::Window(window) => self.take_window(name, window).await,
            Ended::Obtained(obtained) => {
                self.ordering -= 1;
                self.obtained(name, *obtained).await;
            }
            Ended::Failed { directory_url, failure, log } => {
                self.ordering -= 1;
                self.failed(name, directory_url, failure, log).await;
            }
            Ended::Denied(why) => {
                self.ordering -= 1;
                self.denied(name, &why);
            }
        }
    }

    async fn obtained(&mut self, name: &DomainName, obtained: Obtained) {
        let Obtained { served, mut meta, directory_url } = obtained;
        // A name that is gone by now has its certificate on the disk, for when it comes back.
        let renewed = match self.shared.table.read().get(name) {
            Some(entry) => entry.served.is_some(),
            None => return,
        };
        let next = job::renewal(&mut meta, &served.certificate);
        let next = next.min(SystemTime::now() + look_again());
        self.tell(
            Actor::Certificates,
            name,
            served_news(&served, CertificateSource::Acme, renewed),
        )
        .await;
        self.edit(name, |entry| {
            entry.served = Some((CertificateSource::Acme, Arc::clone(&served)));
            entry.directory_url = Some(directory_url);
            entry.meta = meta;
            entry.trouble = None;
            entry.failed_challenge = None;
            entry.work = Work::Rest(Some(next));
        });
        let facts = served.certificate.facts();
        tracing::info!(%name, issuer = facts.issuer, serial = facts.serial, "certificate is served");
        self.save_meta(name).await;
    }

    async fn failed(
        &mut self,
        name: &DomainName,
        directory_url: String,
        failure: Failure,
        log: Vec<Attempt>,
    ) {
        let now = SystemTime::now();
        let Failure { text, hint, kind, retry_after, challenge } = failure;
        let Some((attempt, not_after)) = self.shared.table.read().get(name).map(|entry| {
            let served = entry.served.as_ref();
            (entry.meta.attempts + 1, served.map(|(_, served)| served.certificate.not_after()))
        }) else {
            return;
        };
        let next = schedule::retry_at(now, attempt, kind, retry_after, not_after, fastrand::f64());
        let blocks = kind == ErrorKind::Blocked;
        let next_ms = (!blocks).then(|| millis(next));
        self.tell(
            Actor::Certificates,
            name,
            CertificateNews::Failed { error: text.clone(), attempt, next_ms },
        )
        .await;
        let retry_in_ms = next.duration_since(now).unwrap_or_default().as_millis();
        tracing::warn!(%name, directory_url, attempt, retry_in_ms, error = text, "no certificate");
        if let (ErrorKind::RateLimited { whole_account: true }, Some(index)) = (
            kind,
            self.shared.settings.cas.iter().position(|ca| ca.directory_url() == directory_url),
        ) {
            self.paused.insert(index, next);
        }
        self.edit(name, |entry| {
            entry.meta.attempts = attempt;
            entry.meta.next_ms = Some(millis(next));
            entry.meta.last_error = Some(text.clone());
            entry.meta.log = log;
            entry.trouble = Some(Trouble { text, hint, blocks });
            entry.failed_challenge = challenge.or(entry.failed_challenge);
            entry.directory_url.get_or_insert(directory_url);
            entry.work = Work::Rest(Some(next));
        });
        self.save_meta(name).await;
    }

    fn denied(&mut self, name: &DomainName, why: &str) {
        tracing::info!(%name, reason = why, "certificate on demand denied");
        let served = self.shared.table.read().get(name).is_some_and(|entry| entry.served.is_some());
        if served {
            // What there is is served until it runs out.
            self.edit(name, |entry| {
                entry.trouble = Some(Trouble { text: why.to_owned(), hint: None, blocks: true });
                entry.work = Work::Rest(Some(SystemTime::now() + Duration::from_secs(3600)));
            });
            return;
        }
        self.forget(name);
        self.demand_limits.deny(name.clone(), Instant::now());
        self.shared.store.publish(&[(name.clone(), Some(Slot::Unavailable))]);
        self.shared.changed.send_replace(());
    }

    async fn take_window(&mut self, name: &DomainName, window: Option<RenewalWindow>) {
        let now = SystemTime::now();
        let again = window.as_ref().map_or_else(look_again, |window| window.look_again);
        self.edit(name, |entry| {
            job::take_window(&mut entry.meta, window);
            let renewal = match &entry.served {
                Some((_, served)) => job::renewal(&mut entry.meta, &served.certificate),
                None => now,
            };
            entry.work = Work::Rest(Some(renewal.min(now + again)));
        });
        self.save_meta(name).await;
    }

    /// Stores what is known of an ACME certificate beside it.
    async fn save_meta(&self, name: &DomainName) {
        let found = self
            .shared
            .table
            .read()
            .get(name)
            .and_then(|entry| Some((entry.directory_url.clone()?, entry.meta.clone())));
        let Some((url, meta)) = found else { return };
        let (storage, own) = (self.shared.settings.storage.clone(), name.clone());
        let saved = tokio::task::spawn_blocking(move || storage.save_meta(&url, &own, &meta)).await;
        if let Ok(Err(error)) = saved {
            tracing::error!(%name, %error, "cannot store how it stands with a certificate");
        }
    }

    /// Adds to the history.
    async fn tell(&self, actor: Actor, name: &DomainName, news: CertificateNews) {
        (self.journal)(actor, name.clone(), news).await;
    }

    // --- commands, demands, files ---

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Renew { name, force, reply } => {
                // Whoever asked may be gone; what was asked for is done all the same.
                let _ = reply.send(self.renew(&name, force));
            }
            Command::Import { actor, name, served, bundle, reply } => {
                self.import(actor, name, served, bundle, reply).await;
            }
            Command::Revoked { actor, name, serial, reason, reply } => {
                let again = reason == crate::model::RevocationReason::KeyCompromise;
                let report = self.edit(&name, |entry| {
                    entry.meta.window_ms = None;
                    entry.meta.renew_ms = Some(0);
                    if again {
                        // Nobody is to be shown the key again.
                        entry.served = None;
                    }
                    entry.work = Work::Rest(Some(SystemTime::now()));
                });
                let reason = reason.to_string();
                tracing::warn!(%name, serial, reason, "certificate was revoked");
                self.tell(actor, &name, CertificateNews::Revoked { serial, reason }).await;
                let _ = reply.send(report.ok_or(CertError::UnknownName { name, near: None }));
            }
        }
    }

    fn renew(&mut self, name: &DomainName, force: bool) -> Result<CertificateReport, CertError> {
        let now = SystemTime::now();
        let unknown = || CertError::UnknownName { name: name.clone(), near: None };
        let (plan, served, renewal, issued, running, on_demand) = {
            let mut table = self.shared.table.write();
            let entry = table.get_mut(name).ok_or_else(unknown)?;
            let renewal = match &entry.served {
                Some((_, served)) => job::renewal(&mut entry.meta, &served.certificate),
                None => now,
            };
            let week = now.checked_sub(WEEK).map_or(0, millis);
            let issued = entry.meta.issued_ms.iter().filter(|at| **at >= week).count();
            let running = matches!(entry.work, Work::Queued | Work::Running(_));
            let (plan, served) = (entry.plan.clone(), entry.served.clone());
            (plan, served, renewal, issued, running, entry.on_demand)
        };
        let is_imported = matches!(served, Some((CertificateSource::Imported, _)));
        match &plan {
            Plan::Internal { .. } if !is_imported => {
                if let (Some((_, served)), false) = (&served, force) {
                    let until = date(served.certificate.not_after());
                    return Err(CertError::StillGood { name: name.clone(), until });
                }
                self.start(name, now);
                return self.edit(name, |_| {}).ok_or_else(unknown);
            }
            Plan::Acme => {}
            Plan::OnDemand if on_demand => {}
            Plan::Blocked { error, hint } => {
                return Err(CertError::Refused { message: error.clone(), hint: hint.clone() });
            }
            Plan::OnDemand | Plan::Internal { .. } | Plan::Files { .. } | Plan::Nowhere { .. } => {
                return Err(CertError::NotAcme {
                    name: name.clone(),
                    source_word: if is_imported { "an import" } else { "files" }.to_owned(),
                    hint: "put a new one in its place; files are read again by themselves".into(),
                });
            }
        }
        let good = served.as_ref().filter(|(_, served)| served.certificate.not_after() > now);
        if let (Some((_, served)), false) = (good, force)
            && (renewal > now || is_imported)
        {
            let until = date(served.certificate.not_after());
            return Err(CertError::StillGood { name: name.clone(), until });
        }
        if issued >= PER_WEEK && good.is_some() && !force {
            return Err(CertError::TooOften { name: name.clone(), count: issued });
        }
        if !running {
            // Nothing that failed before is held against what a person asks for.
            self.edit(name, |entry| {
                entry.meta.attempts = 0;
                entry.work = Work::Rest(None);
            });
            self.queue(name, served.is_none());
            self.start_orders(now);
        }
        self.edit(name, |_| {}).ok_or_else(unknown)
    }

    async fn import(
        &mut self,
        actor: Actor,
        name: DomainName,
        served: Arc<Served>,
        bundle: String,
        reply: Reply,
    ) {
        let (storage, own) = (self.shared.settings.storage.clone(), name.clone());
        let saved = tokio::task::spawn_blocking(move || {
            storage.save_imported(&own, &bundle, &Meta::default())
        })
        .await;
        let saved = saved.unwrap_or_else(|_| Err(std::io::Error::other("the server is stopping")));
        if let Err(error) = saved {
            let _ = reply.send(Err(error.into()));
            return;
        }
        let renewed =
            self.shared.table.read().get(&name).is_some_and(|entry| entry.served.is_some());
        if !self.shared.table.read().contains_key(&name) {
            let domain = self.followed.domain(&name).map(|node| node.virtual_host.domain.clone());
            let Some(domain) = domain else {
                let _ = reply.send(Err(CertError::UnknownName { name, near: None }));
                return;
            };
            let entry = Entry::new(domain, Plan::Nowhere { hint: "it was imported" });
            self.put(&name, entry);
        }
        let report = self.edit(&name, |entry| {
            entry.served = Some((CertificateSource::Imported, Arc::clone(&served)));
            entry.work = Work::Rest(None);
            entry.trouble = None;
        });
        let serial = &served.certificate.facts().serial;
        tracing::info!(%name, serial, "certificate was imported");
        let news = served_news(&served, CertificateSource::Imported, renewed);
        self.tell(actor, &name, news).await;
        let _ = reply.send(report.ok_or(CertError::UnknownName { name, near: None }));
    }

    /// Sees to a name that a client asked for.
    fn demanded(&mut self, host: &str) {
        let Ok(name) = host.parse::<DomainName>() else { return };
        let known = self.shared.table.read().get(&name).map(|entry| entry.plan.clone());
        match known {
            Some(Plan::Internal { .. }) => return self.start(&name, SystemTime::now()),
            Some(_) => return,
            None => {}
        }
        let wildcard = host.split_once('.').and_then(|(_, p)| format!("*.{p}").parse().ok());
        let below = wildcard.and_then(|wildcard: DomainName| {
            let table = self.shared.table.read();
            table.get(&wildcard).map(|entry| (entry.domain.clone(), entry.plan.clone()))
        });
        if let Some((domain, plan)) = below {
            self.make_below(name, domain, plan);
            return;
        }
        let (Some(settings), Some(domain)) =
            (self.shared.settings.on_demand.clone(), self.default_domain())
        else {
            return;
        };
        let have = self.shared.table.read().values().filter(|entry| entry.on_demand).count();
        if let Err(reason) = self.demand_limits.admit(&name, have, &settings, Instant::now()) {
            tracing::info!(%name, reason, "certificate on demand refused");
            self.shared.store.publish(&[(name.clone(), Some(Slot::Unavailable))]);
            self.demand_limits.deny(name, Instant::now());
            return;
        }
        let mut entry = Entry::new(domain, Plan::OnDemand);
        entry.on_demand = true;
        self.put(&name, entry);
        self.queue(&name, true);
    }

    /// Makes a certificate of our own for a name below a wildcard. Clients refuse a wildcard right below
    /// a top-level name, such as `*.localhost`.
    fn make_below(&mut self, name: DomainName, domain: DomainName, plan: Plan) {
        if !matches!(plan, Plan::Internal { .. }) {
            return;
        }
        let made = self.shared.table.read().values().filter(|entry| entry.on_demand).count();
        let mut entry = Entry::new(domain, plan);
        entry.on_demand = true;
        if made < MOST_BELOW {
            self.make(&name, &mut entry);
        } else {
            tracing::warn!(%name, "too many names below wildcards were asked for");
            entry.trouble = Some(Trouble { text: String::new(), hint: None, blocks: true });
        }
        let slot = if made < MOST_BELOW { self.put(&name, entry) } else { entry.slot() };
        self.shared.store.publish(&[(name, Some(slot))]);
    }

    async fn look_at_files(&mut self) {
        let watched = self.files.watched();
        let looked = tokio::task::spawn_blocking(move || files::look_at(watched)).await;
        let Ok(looked) = looked else { return };
        for (files, found) in self.files.look(looked, &self.shared.serving) {
            self.take_files(&files, &found).await;
        }
    }

    async fn take_files(&mut self, files: &CertificateFiles, found: &Found) {
        if self.shared.settings.default_certificate.as_ref() == Some(files) {
            match found {
                Found::Good(served) => {
                    self.shared.store.publish_default(Some(Arc::clone(served)));
                }
                Found::Bad(error) => {
                    tracing::error!(error, "the default certificate can't be used");
                }
            }
        }
        let of_these = |entry: &Entry| matches!(&entry.plan, Plan::Files { cert, key } if *cert == files.cert && *key == files.key);
        let names: Vec<DomainName> = {
            let table = self.shared.table.read();
            table.iter().filter(|(_, e)| of_these(e)).map(|(name, _)| name.clone()).collect()
        };
        for name in names {
            let mut news = None;
            self.edit(&name, |entry| {
                let before = entry.served.is_some();
                let opened = match found {
                    Found::Good(served) => Ok(Arc::clone(served)),
                    Found::Bad(error) => {
                        let good = entry.served.as_ref().map(|(_, served)| Arc::clone(served));
                        Err((Some(error.clone()), good))
                    }
                };
                entry.take_file(&name, opened);
                news = Some(match (&entry.trouble, &entry.served) {
                    (None, Some((source, served))) => served_news(served, *source, before),
                    (trouble, _) => {
                        let error = trouble.as_ref().map(|trouble| trouble.text.clone());
                        CertificateNews::Rejected { error: error.unwrap_or_default() }
                    }
                });
            });
            match &news {
                Some(CertificateNews::Rejected { error }) => {
                    tracing::error!(%name, error, "certificate files can't be used");
                }
                _ => tracing::info!(%name, "certificate files were read again"),
            }
            if let Some(news) = news {
                self.tell(Actor::Certificates, &name, news).await;
            }
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
