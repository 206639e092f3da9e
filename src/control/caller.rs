//! Who gives a command, and on which state of things.

use super::ControlError;
use crate::model::Actor;

/// Who gives a command, and on which state of things.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Whom the history names.
    pub actor: Actor,
    /// The revisions of which the state may be for the command to be carried out; any when not given.
    pub revisions: Option<Vec<u64>>,
}

/// What a caller gets to see of the error of a file that it names. Who has a token need not be
/// anybody on this machine: what is different for a file that is missing, one that may not be read and one
/// that holds something else would tell of every file that the server can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileErrors {
    /// What is wrong with it.
    Whole,
    /// That it can't be used; the log has the rest.
    Hidden,
}

/// What stands in place of the error of a file.
pub(super) const HIDDEN_ERROR: &str = "it cannot be used";

/// What to do about it.
pub(super) const HIDDEN_HINT: &str = "see that the file is there, that the user that runs vhost may read it, and \
                                      that it is the right kind of PEM; the server's log says what is wrong";

impl From<Actor> for Caller {
    fn from(actor: Actor) -> Self {
        Self { actor, revisions: None }
    }
}

impl Caller {
    /// What it gets to see of the errors of files.
    pub(super) fn file_errors(&self) -> FileErrors {
        match self.actor {
            Actor::Token { .. } | Actor::Unknown => FileErrors::Hidden,
            Actor::Socket { .. } | Actor::File | Actor::Certificates | Actor::Server => {
                FileErrors::Whole
            }
        }
    }

    /// The state is one that the caller has seen. Holds for as long as nobody else may write.
    pub(super) fn has_seen(&self, now: u64) -> Result<(), ControlError> {
        match &self.revisions {
            Some(seen) if !seen.contains(&now) => Err(ControlError::OtherRevision { now }),
            Some(_) | None => Ok(()),
        }
    }
}
