//! Names that clients ask for.

use std::time::{Instant, SystemTime};

use super::super::entry::{Entry, Trouble, Work};
use super::super::plan::Plan;
use super::super::shelf::Shelf;
use super::Keeper;
use crate::model::DomainName;
use crate::tls::Slot;

/// Names below wildcards that get a certificate of our own CA when somebody asks.
const MOST_BELOW: usize = 10_000;

impl Keeper {
    /// Sees to a name that a client asked for.
    pub(super) fn demanded(&mut self, host: &str) {
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
        let mut entry = Entry::new(domain, Plan::OnDemand);
        entry.on_demand = true;
        // What was ordered before is good for as long as it lasts, whatever became of its domain since.
        let stored = tokio::task::block_in_place(|| Shelf::of(&self.shared, &name));
        Self::take_shelved(&name, &mut entry, &stored);
        let now = SystemTime::now();
        if entry.served.as_ref().is_some_and(|(_, served)| served.certificate.not_after() > now) {
            let slot = self.put(&name, entry);
            self.shared.store.publish(&[(name, Some(slot))]);
            return;
        }
        let have = self.shared.table.read().values().filter(|entry| entry.on_demand).count();
        if let Err(reason) = self.demand_limits.admit(&name, have, &settings, Instant::now()) {
            tracing::info!(%name, reason, "certificate on demand refused");
            self.shared.store.publish(&[(name.clone(), Some(Slot::Unavailable))]);
            self.demand_limits.deny(name, Instant::now());
            return;
        }
        entry.work = Work::Rest(None);
        self.put(&name, entry);
        self.queue(&name, true);
    }

    /// Makes a certificate of our own for a name below a wildcard. Clients refuse a wildcard right below
    /// a top-level name, such as `*.localhost`.
    pub(super) fn make_below(&mut self, name: DomainName, domain: DomainName, plan: Plan) {
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
}
