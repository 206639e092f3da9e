//! What is due: orders, renewals, questions to CAs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::entry::Work;
use super::super::job::{self, JobOutcome};
use super::super::plan::Plan;
use super::{Keeper, MAX_RUNNING_ORDERS};
use crate::model::{CertificateSource, DomainName};
use crate::tls::Served;

/// The most orders at one CA within [`ORDERS_PERIOD`]. Let's Encrypt allows an account 300 in 3
/// hours.
const MAX_ORDERS_LETS_ENCRYPT: usize = 10;
const MAX_ORDERS_OTHER_CA: usize = 100;
const ORDERS_PERIOD: Duration = Duration::from_secs(10);

/// After this many failed attempts the next CA goes first.
const MAX_FAILURES: u32 = 3;

impl Keeper {
    pub(super) fn start_due(&mut self) {
        let now = SystemTime::now();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.due.pop_first() else { break };
            self.start(&name, now);
        }
        let forgotten = self.demand_limits.forgotten(Instant::now());
        self.undeny(forgotten);
        self.start_asking();
        self.start_orders(now);
    }

    /// Retries everything that failed because of a local file.
    pub(super) fn try_local_failures_again(&mut self) {
        let failed: Vec<DomainName> = {
            let table = self.shared.table.read();
            let failed = table.iter().filter(|(_, entry)| {
                entry.failed_locally && matches!(entry.work, Work::Rest(Some(_)))
            });
            failed.map(|(name, _)| name.clone()).collect()
        };
        for name in failed {
            self.edit(&name, |entry| {
                entry.failed_locally = false;
                entry.work = Work::Rest(Some(SystemTime::now()));
            });
        }
    }

    /// Starts the work that is due for a name.
    pub(super) fn start(&mut self, name: &DomainName, now: SystemTime) {
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
            // Its time is already removed from `due`.
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

    /// Queues an order; a name on demand is checked first.
    pub(super) fn queue(&mut self, name: &DomainName, is_first: bool) {
        let on_demand = self.shared.table.read().get(name).is_some_and(|entry| entry.on_demand);
        if !on_demand || self.shared.settings.on_demand.is_none() {
            return self.queue_order(name, is_first);
        }
        if !self.to_ask.contains(name) {
            self.to_ask.push_back(name.clone());
        }
        self.edit(name, |entry| entry.work = Work::Queued);
    }

    pub(super) fn queue_order(&mut self, name: &DomainName, is_first: bool) {
        let queue = if is_first { &mut self.first } else { &mut self.renewals };
        if !queue.contains(name) {
            queue.push_back(name.clone());
        }
        self.edit(name, |entry| entry.work = Work::Queued);
    }

    /// Asks the CA whether it wants a certificate renewed sooner.
    pub(super) fn ask_window(&mut self, name: &DomainName, served: Arc<Served>) {
        let url = self.shared.table.read().get(name).and_then(|e| e.directory_url.clone());
        let ca =
            self.shared.settings.cas.iter().find(|ca| Some(ca.directory_url()) == url.as_deref());
        match ca.cloned() {
            Some(ca) => {
                let name = name.clone();
                self.jobs.spawn(async move { (name, job::window(ca, served).await) });
            }
            // Its CA is no longer configured: the new one's certificate replaces it.
            None => self.queue(name, false),
        }
    }

    /// Starts as many waiting orders as allowed.
    pub(super) fn start_orders(&mut self, now: SystemTime) {
        self.paused.retain(|_, until| *until > now);
        for is_first in [true, false] {
            let queue = if is_first { &mut self.first } else { &mut self.renewals };
            let mut waiting = std::mem::take(queue);
            let mut left = VecDeque::new();
            while let Some(name) = waiting.pop_front() {
                if self.ordering >= MAX_RUNNING_ORDERS {
                    left.push_back(name);
                    left.append(&mut waiting);
                    break;
                }
                if !self.start_order(&name, is_first) {
                    left.push_back(name);
                }
            }
            let queue = if is_first { &mut self.first } else { &mut self.renewals };
            left.append(queue);
            *queue = left;
        }
    }

    /// Starts an order; `false` if its CA has a limit, or too many were started on demand.
    pub(super) fn start_order(&mut self, name: &DomainName, is_first: bool) -> bool {
        let shared = Arc::clone(&self.shared);
        let order = {
            let table = shared.table.read();
            let Some(entry) = table.get(name).filter(|entry| entry.work == Work::Queued) else {
                return true;
            };
            if let (Some(settings), true) =
                (&shared.settings.on_demand, entry.on_demand && is_first)
                && !self.demand_limits.order(settings, Instant::now())
            {
                return false;
            }
            let cas = &shared.settings.cas;
            let index =
                usize::try_from(entry.meta.attempts / MAX_FAILURES).unwrap_or(0) % cas.len().max(1);
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
            }
        };
        self.ordering += 1;
        self.edit(name, |entry| entry.work = Work::Running("beginning".to_owned()));
        let (name, reports) = (name.clone(), Arc::clone(&self.shared));
        self.jobs.spawn(async move {
            let own = name.clone();
            let step = move |step: &str| {
                if let Some(entry) = reports.table.write().get_mut(&own)
                    && matches!(entry.work, Work::Running(_))
                {
                    entry.work = Work::Running(step.to_owned());
                }
                reports.changed.send_replace(());
            };
            // In a task of its own: a panic must not leave the name in the running state for ever.
            let order = tokio::spawn(job::order(shared, order, step));
            let ended = order.await.unwrap_or_else(|error| JobOutcome::broken(&error));
            (name, ended)
        });
        true
    }

    /// Checks whether a CA may get one more order, and counts it.
    pub(super) fn has_room(&mut self, ca: usize, is_public: bool) -> bool {
        let now = Instant::now();
        let begun = self.begun.entry(ca).or_default();
        while begun.front().is_some_and(|at| now.duration_since(*at) >= ORDERS_PERIOD) {
            begun.pop_front();
        }
        let has_room =
            begun.len() < if is_public { MAX_ORDERS_LETS_ENCRYPT } else { MAX_ORDERS_OTHER_CA };
        if has_room {
            begun.push_back(now);
        }
        has_room
    }
}
