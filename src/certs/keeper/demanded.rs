//! Names that clients ask for.

use std::time::{Instant, SystemTime};

use super::super::entry::{Entry, Work};
use super::super::job;
use super::super::plan::Plan;
use super::super::stored::StoredCertificates;
use super::Keeper;
use super::wanted::is_below_top;
use crate::model::DomainName;
use crate::tls::{Demand, Slot};

/// The most names below wildcards with a certificate of our own CA. Beyond that the one that was
/// unused for longest is dropped.
const MAX_BELOW: usize = 1_000;

/// The most names that are checked at once.
const MAX_ASKING: usize = 8;

impl Keeper {
    /// Handles a name on demand.
    pub(super) fn demanded(&mut self, demand: Demand) {
        let Ok(name) = demand.host.parse::<DomainName>() else { return };
        let known = self.shared.table.read().get(&name).map(|entry| entry.plan.clone());
        match known {
            Some(Plan::Internal { .. }) => return self.start(&name, SystemTime::now()),
            Some(_) => return,
            None => {}
        }
        let wildcard = demand.host.split_once('.').and_then(|(_, p)| format!("*.{p}").parse().ok());
        let below = wildcard.and_then(|wildcard: DomainName| {
            let table = self.shared.table.read();
            let found = table.get(&wildcard);
            found.map(|entry| (entry.domain.clone(), entry.plan.clone(), wildcard))
        });
        if let Some((domain, plan, wildcard)) = below {
            match plan {
                Plan::Internal { .. } if is_below_top(&wildcard) => {
                    self.make_below(name, domain, plan);
                }
                Plan::Internal { .. } => self.start(&wildcard, SystemTime::now()),
                _ => {}
            }
            return;
        }
        let (Some(settings), Some(domain)) =
            (self.shared.settings.on_demand.clone(), self.default_domain())
        else {
            return;
        };
        let on_demand = |entry: &&Entry| entry.on_demand && entry.plan == Plan::OnDemand;
        let have = self.shared.table.read().values().filter(on_demand).count();
        let counts = (have, self.to_ask.len() + self.asking);
        let client = (!demand.is_many).then_some(demand.client);
        let now = Instant::now();
        if let Err(reason) = self.demand_limits.admit(&name, client, counts, &settings, now) {
            tracing::info!(%name, reason, "certificate on demand refused");
            // The client may be gone.
            let _ = demand.refused.send(());
            return;
        }
        let mut entry = Entry::new(domain, Plan::OnDemand);
        entry.on_demand = true;
        // A stored certificate is used while it is valid, whatever has become of its domain.
        let stored = tokio::task::block_in_place(|| StoredCertificates::of(&self.shared, &name));
        Self::take_shelved(&name, &mut entry, &stored);
        let now = SystemTime::now();
        if entry.served.as_ref().is_some_and(|(_, served)| served.certificate.not_after() > now) {
            let slot = self.put(&name, entry);
            self.shared.store.publish(&[(name, Some(slot))]);
            return;
        }
        entry.work = Work::Rest(None);
        self.put(&name, entry);
        self.queue(&name, true);
    }

    /// Starts to check as many waiting names as allowed.
    pub(super) fn start_asking(&mut self) {
        while self.asking < MAX_ASKING
            && let Some(name) = self.to_ask.pop_front()
        {
            let Some(settings) = &self.shared.settings.on_demand else { continue };
            let is_queued = |entry: &Entry| entry.work == Work::Queued;
            if !self.shared.table.read().get(&name).is_some_and(is_queued) {
                continue;
            }
            let url = settings.ask.clone();
            self.asking += 1;
            let step = "asking whether the name is allowed".to_owned();
            self.edit(&name, |entry| entry.work = Work::Running(step));
            self.jobs.spawn(async move {
                let ended = job::ask_about(&url, &name).await;
                (name, ended)
            });
        }
    }

    /// Orders for a name that is allowed.
    pub(super) fn allowed(&mut self, name: &DomainName) {
        let served = {
            let table = self.shared.table.read();
            let Some(entry) = table.get(name) else { return };
            if !matches!(entry.work, Work::Running(_)) {
                return;
            }
            entry.served.is_some()
        };
        self.queue_order(name, !served);
    }

    /// Makes a certificate of our own for a name below a wildcard that clients refuse: one directly
    /// below a top-level name, such as `*.localhost`.
    fn make_below(&mut self, name: DomainName, domain: DomainName, plan: Plan) {
        let mut changes = Vec::new();
        if let Some(unused) = self.least_used_below() {
            self.forget(&unused);
            changes.push((unused, None));
        }
        let mut entry = Entry::new(domain, plan);
        entry.on_demand = true;
        self.make(&name, &mut entry);
        let slot = self.put(&name, entry);
        changes.push((name, Some(slot)));
        self.shared.store.publish(&changes);
    }

    /// The name below a wildcard to drop for a new one; `None` while there is room.
    fn least_used_below(&self) -> Option<DomainName> {
        let table = self.shared.table.read();
        let below = table
            .iter()
            .filter(|(_, entry)| entry.on_demand && matches!(entry.plan, Plan::Internal { .. }));
        let used = below.map(|(name, entry)| {
            let used = entry.served.as_ref().map_or(0, |(_, served)| served.last_used());
            (used, name)
        });
        let all: Vec<_> = used.collect();
        (all.len() >= MAX_BELOW).then(|| all.into_iter().min().map(|(_, name)| name.clone()))?
    }

    /// Remembers that a name is not allowed.
    pub(super) fn deny(&mut self, name: &DomainName) {
        let forgotten = self.demand_limits.deny(name.clone(), Instant::now());
        self.shared.store.publish(&[(name.clone(), Some(Slot::Unavailable))]);
        self.undeny(forgotten);
    }

    /// Lets expired denials be checked again, unless the name has been declared since.
    pub(super) fn undeny(&self, names: impl IntoIterator<Item = DomainName>) {
        let table = self.shared.table.read();
        let undeclared = names.into_iter().filter(|name| !table.contains_key(name));
        let changes: Vec<_> = undeclared.map(|name| (name, None)).collect();
        drop(table);
        self.shared.store.publish(&changes);
    }
}
