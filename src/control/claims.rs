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
    drains: bool,
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
        self.take_all(domains.collect(), undo)
    }

    /// The same for apps and domains.
    pub(super) fn take_all(
        &self,
        claimed: Vec<Claimed>,
        undo: bool,
    ) -> Result<Claim, ControlError> {
        let by = self.next.fetch_add(1, Ordering::Relaxed);
        let mut held = self.shared.lock();
        let busy = claimed.iter().find_map(|key| {
            let other = held.get(key)?;
            (!(undo && other.drains)).then(|| refused(key, other))
        });
        if let Some(refused) = busy {
            return Err(refused);
        }
        for key in &claimed {
            held.insert(key.clone(), Held { by, drains: false });
        }
        drop(held);
        Ok(Claim { shared: Arc::clone(&self.shared), by, claimed })
    }

    /// Where the operation on `domain` is that is under way.
    pub(super) fn phase_of(&self, domain: &DomainName) -> Option<&'static str> {
        self.shared.lock().get(&Claimed::Domain(domain.clone())).map(Held::phase)
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
    let phase = held.phase();
    match key {
        Claimed::App(app) => ControlError::DeployRunning { app: app.clone(), phase },
        Claimed::Domain(domain) => ControlError::SwitchRunning { domain: domain.clone(), phase },
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Claimed, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn phase(&self) -> &'static str {
        if self.drains { "draining" } else { "checking" }
    }
}

impl Claim {
    /// The switch is made; only the drain is left.
    pub(super) fn drains(&mut self) {
        let mut held = self.shared.lock();
        for key in &self.claimed {
            if let Some(mine) = held.get_mut(key).filter(|held| held.by == self.by) {
                mine.drains = true;
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
