//! What is decided about a request.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{BackendId, Reason};
use crate::proxy::host::auth::Attempt;
use crate::proxy::host::pause::Wait;
use crate::proxy::host::preview::Pinned;

/// What becomes of a request.
pub(crate) enum Verdict<'r> {
    /// It goes to a backend of its pool.
    Forward(Forward),
    Answer(Answer),
    /// It is decided again, once this is done.
    First(Step<'r>),
}

/// By what its backend is chosen.
#[derive(Debug, Default)]
pub(crate) struct Forward {
    /// The backend that its cookie names.
    pub(crate) stays_with: Option<BackendId>,
    /// What stands for it where backends are chosen by a hash.
    pub(crate) hash_key: Option<u64>,
}

/// What the proxy itself answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Refuse(Reason),
    /// To this location.
    Redirect(String),
    /// To where a browser goes on that has followed a link to a preview.
    Pin(Pinned),
    /// With what a CA wants to see.
    Challenge(Arc<str>),
}

/// What has to be done before more can be decided.
pub(crate) enum Step<'r> {
    /// The domain of this host is looked for.
    Route(&'r str),
    /// It is counted against its domain's rate limits, as this client's.
    Count(IpAddr),
    CheckPassword(Attempt),
    /// Its domain is resumed, and its turn has come.
    Wait(Wait),
}

impl From<Reason> for Answer {
    fn from(reason: Reason) -> Self {
        Self::Refuse(reason)
    }
}

impl From<Answer> for Verdict<'_> {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<Reason> for Verdict<'_> {
    fn from(reason: Reason) -> Self {
        Self::Answer(reason.into())
    }
}

impl<'r> From<Step<'r>> for Verdict<'r> {
    fn from(step: Step<'r>) -> Self {
        Self::First(step)
    }
}
