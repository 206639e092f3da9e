//! Where requests come in, from the first moment of a start to the last of a stop.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use axum::Router;

use super::api::{self, Api};
use crate::counters::InFlight;

/// Where requests come in. Cloned handles are the same door.
#[derive(Clone)]
pub(crate) struct Door {
    api: Arc<ArcSwapOption<Router>>,
    /// Answers until there is an API.
    starting: Router,
    started: Instant,
    /// The connections that came in.
    pub(super) open: Arc<InFlight>,
}

impl Door {
    /// A door without an API yet: every request is answered that the server is starting. It counts the `open`
    /// connections.
    pub(crate) fn new(open: Arc<InFlight>) -> Self {
        let started = Instant::now();
        Self { api: Arc::default(), starting: api::starting(started), started, open }
    }

    /// When it was made, which is when the server started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Answers from now on.
    pub(crate) fn open(&self, api: Api) {
        self.api.store(Some(Arc::new(api.router())));
    }

    pub(super) fn router(&self) -> Router {
        self.api.load().as_ref().map_or_else(|| self.starting.clone(), |api| Router::clone(api))
    }
}
