//! Who gives a command, and on which state of things.

use super::ControlError;
use crate::model::Actor;

/// Who gives a command, and on which state of things.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom the history names.
    pub actor: Actor,
    /// The revisions of which the state may be for the command to be carried out; any when not given.
    pub revisions: Option<Vec<u64>>,
}

impl From<Actor> for Caller {
    fn from(actor: Actor) -> Self {
        Self { actor, revisions: None }
    }
}

impl Caller {
    /// The state is one that the caller has seen. Holds for as long as nobody else may write.
    pub(super) fn has_seen(&self, now: u64) -> Result<(), ControlError> {
        match &self.revisions {
            Some(seen) if !seen.contains(&now) => Err(ControlError::OtherRevision { now }),
            Some(_) | None => Ok(()),
        }
    }
}
