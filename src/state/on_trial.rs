//! What is observed of a new tag that is on trial, and of the old one beside it.

use std::sync::Arc;

use super::Way;
use crate::counters::{Observed, Sample};
use crate::model::{Course, PoolName, Tag, VirtualHost};

/// A new tag of a domain that is on trial, with what speaks for it and against it.
#[derive(Debug)]
pub struct OnTrial {
    /// The number of the trial.
    pub id: u64,
    /// The number of its step. Each is judged by its own traffic: a share that changes would mix up what the time
    /// does and what the version does.
    step: usize,
    /// What is observed of the new tag.
    pub new: Observed,
    /// What is observed of the old one, while it serves too.
    pub old: Observed,
    /// The tag to which a rollback goes.
    from: PoolName,
    to: Tag,
    /// Whether what the new tag fails is tried on the old one.
    has_net: bool,
}

impl OnTrial {
    /// That of a virtual host; what was observed in the same step goes on.
    pub(super) fn of(virtual_host: &VirtualHost, before: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let trial = virtual_host.beside.trial.as_ref()?;
        let step = match &trial.course {
            Course::Guard { .. } => 0,
            Course::Rollout(rollout) => rollout.at,
        };
        let known = before.filter(|known| known.id == trial.id);
        let slow_micros = trial.baseline.and_then(|baseline| baseline.slow_micros);
        let slow_micros = slow_micros.or_else(|| known?.new.slow());
        let on_trial = known.filter(|known| known.step == step).cloned().unwrap_or_else(|| {
            Arc::new(Self {
                id: trial.id,
                step,
                new: Observed::new(trial.id),
                old: Observed::new(trial.id),
                from: virtual_host.pool(&trial.from),
                to: trial.to.clone(),
                has_net: trial.rules.is_some(),
            })
        });
        if let Some(micros) = slow_micros {
            on_trial.new.set_slow(micros);
            on_trial.old.set_slow(micros);
        }
        Some(on_trial)
    }

    /// The backends that a request for `tag` may be tried on once if that fails it.
    pub(super) fn net(&self, way: Way, tag: &Tag) -> Option<&PoolName> {
        let is_new = *tag == self.to && matches!(way, Way::Live | Way::Share(_));
        (is_new && self.has_net).then_some(&self.from)
    }

    /// Counts a request that has ended, where it says something about one of both.
    pub fn count(&self, way: Way, tag: &Tag, sample: Sample) {
        if !matches!(way, Way::Live | Way::Share(_)) {
            return;
        }
        if *tag == self.to {
            self.new.count(sample);
        } else if *tag == self.from.tag {
            self.old.count(sample);
        }
    }
}
