//! What is notified of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Event, EventKind, TrialKind, worded};

worded! {
    /// A kind of events that one may be notified of.
    #[derive(PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum NotifyKind {
        /// Switches, deploys, splits and undo.
        Switch "switch",
        /// Rollouts.
        Rollout "rollout",
        /// Guards.
        Guard "guard",
        /// Certificates.
        Certificate "certificate",
        /// The health of backends.
        Health "health",
    }
}

impl NotifyKind {
    /// The kind of an event of the history; `None` for one that nobody is notified of.
    pub fn of(event: &Event) -> Option<Self> {
        match &event.kind {
            EventKind::Switch { .. } | EventKind::Deploy { .. } | EventKind::Split { .. } => {
                Some(Self::Switch)
            }
            EventKind::Trial { trial: TrialKind::Rollout, .. } => Some(Self::Rollout),
            EventKind::Trial { trial: TrialKind::Guard, .. } => Some(Self::Guard),
            EventKind::Certificate { .. } => Some(Self::Certificate),
            EventKind::PreviewMade { .. }
            | EventKind::PreviewsEnded { .. }
            | EventKind::DomainAdded { .. }
            | EventKind::DomainSet { .. }
            | EventKind::DomainRemoved { .. }
            | EventKind::BackendAdded { .. }
            | EventKind::BackendSet { .. }
            | EventKind::BackendRemoved { .. }
            | EventKind::StandbyRemoved { .. }
            | EventKind::AppAdded { .. }
            | EventKind::AppSet { .. }
            | EventKind::AppRemoved { .. }
            | EventKind::FileApplied { .. }
            | EventKind::Unknown => None,
        }
    }
}
