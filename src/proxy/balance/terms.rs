//! By what a backend is chosen, and what comes of a choice.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::counters::InFlightGuard;
use crate::model::Balance;
use crate::state::{BackendNode, NotAdmitted, Standing};

/// A backend that was chosen, with the request counted in flight there.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) node: Arc<BackendNode>,
    /// Held for as long as the request uses the backend.
    _in_flight: InFlightGuard,
    /// After the count: whoever hears of it looks at that.
    _freed: Option<Freed>,
}

/// Wakes those who wait for room.
#[derive(Debug)]
struct Freed(Arc<BackendNode>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.live.freed().notify_waiters();
    }
}

impl Chosen {
    /// Counts the request in, unless the backend takes none any more, or has as many as it may already:
    /// `most`, where it has no limit of its own.
    pub(crate) fn admit(
        node: &Arc<BackendNode>,
        most: Option<NonZeroUsize>,
    ) -> Result<Self, NotAdmitted> {
        let most = node.live.max_requests(most);
        let in_flight = node.live.admit(most)?;
        let freed = most.map(|_| Freed(Arc::clone(node)));
        Ok(Self { node: Arc::clone(node), _in_flight: in_flight, _freed: freed })
    }
}

/// What comes of a choice.
#[derive(Debug)]
pub(crate) enum Choice {
    Chosen(Chosen),
    /// Each that could serve has as many requests as it may.
    Busy,
    /// None can serve.
    None,
}

/// By what a backend is chosen.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) balance: &'a Balance,
    /// What a hash is made of; without it the turn decides.
    pub(crate) key: Option<u64>,
    /// Requests that may run at once on a backend that has no limit of its own.
    pub(crate) most: Option<NonZeroUsize>,
    /// How long the share of a backend that has become healthy grows.
    pub(crate) slow_start: Duration,
    /// Backends that the request could not be sent to.
    pub(crate) tried: &'a [Arc<BackendNode>],
}

impl Terms<'_> {
    pub(super) fn is_fresh(&self, node: &Arc<BackendNode>) -> bool {
        !self.tried.iter().any(|one| Arc::ptr_eq(one, node))
    }

    /// Whether it is fit, and has grown enough for this request. A share is kept by chance.
    pub(super) fn takes(&self, node: &Arc<BackendNode>) -> bool {
        node.standing() == Standing::Fit && self.is_fresh(node) && self.has_grown(node)
    }

    pub(super) fn has_grown(&self, node: &BackendNode) -> bool {
        let share = node.live.pace().share(self.slow_start);
        share >= 1.0 || fastrand::f32() < share
    }
}
