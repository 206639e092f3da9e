//! How a switch ended, as it is counted.

use super::{Outcome, worded};

worded! {
    /// How a switch ended. The names are stable: metrics carry them.
    pub enum SwitchEnd {
        /// Switched, and the old tag's requests have ended.
        Done "done",
        /// Switched, and the drain was not waited for.
        NotDrained "not_drained",
        /// Switched, and requests of the old tag still ran at the drain timeout.
        DrainTimedOut "drain_timed_out",
        /// Switched, and moved on again before the drain had ended.
        Superseded "superseded",
        /// Nothing changed: the new tag was not healthy in time.
        GateFailed "gate_failed",
        /// Nothing changed: the state had moved meanwhile, or could not be saved.
        Failed "failed",
    }
}

impl SwitchEnd {
    /// How a switch ended that left this in the history; nothing while it has not.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Done => Some(Self::Done),
            Outcome::NotDrained => Some(Self::NotDrained),
            Outcome::DrainTimedOut { .. } => Some(Self::DrainTimedOut),
            Outcome::Superseded => Some(Self::Superseded),
            Outcome::GateFailed { .. } => Some(Self::GateFailed),
            Outcome::Draining | Outcome::Interrupted | Outcome::Unknown => None,
        }
    }
}
