//! How a switch ended, as it is counted.

use super::Outcome;

/// How a switch ended. The names are stable: metrics carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchEnd {
    /// Switched, and the old tag's requests have ended.
    Done,
    /// Switched, and the drain was not waited for.
    NotDrained,
    /// Switched, and requests of the old tag still ran at the drain timeout.
    DrainTimedOut,
    /// Switched, and moved on again before the drain had ended.
    Superseded,
    /// Nothing changed: the new tag was not healthy in time.
    GateFailed,
    /// Nothing changed: the state had moved meanwhile, or could not be saved.
    Failed,
}

impl SwitchEnd {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::NotDrained,
        Self::DrainTimedOut,
        Self::Superseded,
        Self::GateFailed,
        Self::Failed,
    ];

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

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDrained => "not_drained",
            Self::DrainTimedOut => "drain_timed_out",
            Self::Superseded => "superseded",
            Self::GateFailed => "gate_failed",
            Self::Failed => "failed",
        }
    }
}
