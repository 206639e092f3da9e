//! What a switch or a deploy is under way for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::ControlError;
use crate::model::{AppName, DomainName, SwitchStep};

/// What may be claimed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claimed {
    App(AppName),
    Domain(DomainName),
}

/// What a switch or a deploy is under way for.
#[derive(Default)]
pub(super) struct Claims {
    shared: Arc<Shared>,
    next: AtomicU64,
}

#[derive(Default)]
struct Shared {
    held: Mutex<BTreeMap<Claimed, Held>>,
    freed: Arc<Notify>,
}

#[derive(Clone, Copy)]
struct Held {
    by: u64,
    under_way: UnderWay,
}

/// What is under way, and how far it is.
#[derive(Clone, Copy)]
pub(super) struct UnderWay {
    /// `switch` or `deploy`.
    pub(super) what: &'static str,
    drains: bool,
}

impl UnderWay {
    /// How far it is.
    pub(super) fn phase(self) -> &'static str {
        if self.drains { "draining" } else { "checking" }
    }
}

/// One operation's hold on its apps and domains; dropping it lets go.
pub(super) struct Claim {
    shared: Arc<Shared>,
    by: u64,
    claimed: Vec<Claimed>,
}

impl Claims {
    /// Takes hold of the domains of all `steps`, or of none. An undo may take over from an operation that
    /// only drains any more: going back must not have to wait.
    pub(super) fn take(&self, steps: &[SwitchStep], undo: bool) -> Result<Claim, ControlError> {
        let domains = steps.iter().map(|step| Claimed::Domain(step.domain.clone()));
        self.take_all(domains.collect(), "switch", undo)
    }

    /// The same for the apps and domains of a deploy.
    pub(super) fn take_for_deploy(&self, claimed: Vec<Claimed>) -> Result<Claim, ControlError> {
        self.take_all(claimed, "deploy", false)
    }

    fn take_all(
        &self,
        claimed: Vec<Claimed>,
        what: &'static str,
        undo: bool,
    ) -> Result<Claim, ControlError> {
        let by = self.next.fetch_add(1, Ordering::Relaxed);
        let mut held = self.shared.lock();
        let busy = claimed.iter().find_map(|key| {
            let other = held.get(key)?;
            (!(undo && other.under_way.drains)).then(|| refused(key, other))
        });
        if let Some(refused) = busy {
            return Err(refused);
        }
        for key in &claimed {
            held.insert(key.clone(), Held { by, under_way: UnderWay { what, drains: false } });
        }
        drop(held);
        Ok(Claim { shared: Arc::clone(&self.shared), by, claimed })
    }

    /// What is under way for `domain`.
    pub(super) fn under_way(&self, domain: &DomainName) -> Option<UnderWay> {
        self.shared.lock().get(&Claimed::Domain(domain.clone())).map(|held| held.under_way)
    }

    /// No deploy of the app is under way.
    pub(super) fn check_app(&self, app: &AppName) -> Result<(), ControlError> {
        let key = Claimed::App(app.clone());
        self.shared.lock().get(&key).map_or(Ok(()), |held| Err(refused(&key, held)))
    }

    /// Ends when somebody has let go since this was called.
    pub(super) fn freed(&self) -> OwnedNotified {
        Arc::clone(&self.shared.freed).notified_owned()
    }
}

fn refused(key: &Claimed, held: &Held) -> ControlError {
    let UnderWay { what, .. } = held.under_way;
    let phase = held.under_way.phase();
    match key {
        Claimed::App(app) => ControlError::DeployRunning { app: app.clone(), phase },
        Claimed::Domain(domain) => {
            ControlError::SwitchRunning { domain: domain.clone(), what, phase }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Claimed, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The switch is made; only the drain is left.
    pub(super) fn drains(&mut self) {
        let mut held = self.shared.lock();
        for key in &self.claimed {
            if let Some(mine) = held.get_mut(key).filter(|held| held.by == self.by) {
                mine.under_way.drains = true;
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.shared.lock();
        for key in &self.claimed {
            if held.get(key).is_some_and(|held| held.by == self.by) {
                held.remove(key);
            }
        }
        drop(held);
        self.shared.freed.notify_waiters();
    }
}
