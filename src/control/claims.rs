//! Which domains a switch is under way for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::ControlError;
use crate::model::{DomainName, SwitchStep};

/// Which domains a switch is under way for.
#[derive(Default)]
pub(super) struct Claims {
    held: Arc<Mutex<BTreeMap<DomainName, Held>>>,
    next: AtomicU64,
}

#[derive(Clone, Copy)]
struct Held {
    by: u64,
    drains: bool,
}

/// One switch's hold on its domains; dropping it lets go.
pub(super) struct Claim {
    held: Arc<Mutex<BTreeMap<DomainName, Held>>>,
    by: u64,
    domains: Vec<DomainName>,
}

impl Claims {
    /// Takes hold of the domains of all `steps`, or of none. An undo may take over from a switch that
    /// only drains any more: going back must not have to wait.
    pub(super) fn take(&self, steps: &[SwitchStep], undo: bool) -> Result<Claim, ControlError> {
        let by = self.next.fetch_add(1, Ordering::Relaxed);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = steps.iter().find_map(|step| {
            let other = held.get(&step.domain)?;
            (!(undo && other.drains)).then_some((step, other.phase()))
        });
        if let Some((step, phase)) = busy {
            return Err(ControlError::SwitchRunning { domain: step.domain.clone(), phase });
        }
        let domains: Vec<_> = steps.iter().map(|step| step.domain.clone()).collect();
        for domain in &domains {
            held.insert(domain.clone(), Held { by, drains: false });
        }
        Ok(Claim { held: Arc::clone(&self.held), by, domains })
    }
}

impl Claims {
    /// Where the switch of `domain` is that is under way.
    pub(super) fn phase_of(&self, domain: &DomainName) -> Option<&'static str> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(domain).map(Held::phase)
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
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for domain in &self.domains {
            if let Some(mine) = held.get_mut(domain).filter(|held| held.by == self.by) {
                mine.drains = true;
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for domain in &self.domains {
            if held.get(domain).is_some_and(|held| held.by == self.by) {
                held.remove(domain);
            }
        }
    }
}
