//! What a request carries through the phases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ProxyOptions;
use super::access_log::{self, Asked};
use super::balance::{Chosen, choose, stay};
use super::client::{CONNECTION, Client, Connection};
use super::failure::Failure;
use crate::metrics::Reason;
use crate::model::{BackendId, DomainName};
use crate::state::{BackendNode, DomainNode, InFlightGuard, Pinned, PlaceInLine};

/// The facts of one request. Whatever is counted for it ends when this is dropped.
#[derive(Debug)]
pub(super) struct RequestContext {
    /// When its head had been read.
    pub(super) started: Instant,
    /// The options that it goes by to its end.
    pub(super) options: Arc<ProxyOptions>,
    /// Its client's connection.
    pub(super) connection: Option<Arc<Connection>>,
    /// Who sent it, and whether its forwarded headers are believed.
    pub(super) client: Option<Client>,
    /// Its domain and pool, once routed.
    pub(super) pinned: Option<Pinned>,
    /// The backend it goes to.
    pub(super) chosen: Option<Chosen>,
    /// Backends that it could not be sent to.
    pub(super) tried: Vec<Arc<BackendNode>>,
    /// When it was given to the backend that it goes to.
    pub(super) sent_at: Option<Instant>,
    /// When that backend's answer began.
    pub(super) answered_at: Option<Instant>,
    /// Whether it was sent again because a kept connection had been closed.
    pub(super) replayed: bool,
    /// The backend that its cookie names.
    pub(super) stays_with: Option<BackendId>,
    /// The paused domain that it waits for; not pinned meanwhile.
    pub(super) waits_for: Option<Arc<DomainNode>>,
    /// Its turn to go on after a pause, until it is routed.
    pub(super) turn: Option<PlaceInLine>,
    /// Whether a page was sent in the place of the backend's body.
    pub(super) replaced: bool,
    /// Its id, where the client sent none.
    pub(super) request_id: Option<String>,
    /// Why it was refused or failed.
    pub(super) failure: Option<Failure>,
    /// What it asked for, until it has ended and that is told.
    pub(super) asked: Option<Asked>,
    /// Keeps the server from stopping before it is answered; nothing where its connection does.
    pub(super) busy: Option<InFlightGuard>,
}

impl RequestContext {
    pub(super) fn new(options: Arc<ProxyOptions>, busy: InFlightGuard) -> Self {
        Self {
            started: Instant::now(),
            options,
            connection: CONNECTION.try_with(Arc::clone).ok(),
            client: None,
            pinned: None,
            chosen: None,
            tried: Vec::new(),
            sent_at: None,
            answered_at: None,
            replayed: false,
            stays_with: None,
            waits_for: None,
            turn: None,
            replaced: false,
            request_id: None,
            failure: None,
            asked: None,
            busy: Some(busy),
        }
    }

    /// Chooses a backend of the pinned pool that has not been tried, and keeps it. When all have
    /// been, the last one is tried again if its name stands for further addresses.
    pub(super) fn choose(&mut self) -> bool {
        self.chosen = self.pinned.as_ref().and_then(|pinned| {
            let pool = pinned.pool.as_ref()?;
            let stays = self.stays_with.as_ref().and_then(|id| stay(pool, id, &self.tried));
            if stays.is_some() {
                return stays;
            }
            choose(pool, pinned.domain.virtual_host.balance, &self.tried)
        });
        if self.chosen.is_none()
            && let Some(last) = self.tried.last()
            && self.tries_of(last) < last.live.endpoints().len()
        {
            self.chosen = Chosen::admit(last);
        }
        self.chosen.is_some()
    }

    /// How often a backend has been tried in vain.
    pub(super) fn tries_of(&self, node: &Arc<BackendNode>) -> usize {
        self.tried.iter().filter(|tried| Arc::ptr_eq(tried, node)).count()
    }

    /// How many tries were made, the one that runs included.
    pub(super) fn attempts(&self) -> usize {
        self.tried.len() + usize::from(self.chosen.is_some()) + usize::from(self.replayed)
    }

    /// How long the backend took until its answer began, or until it failed.
    pub(super) fn upstream_time(&self) -> Option<Duration> {
        let sent_at = self.sent_at?;
        Some(self.answered_at.map_or_else(|| sent_at.elapsed(), |at| at - sent_at))
    }

    /// Whether the server's side failed it.
    pub(super) fn has_failed(&self, status: Option<u16>) -> bool {
        let reason = self.failure.as_ref().map(|failure| failure.reason);
        matches!(reason, Some(Reason::Upstream(_))) || status.is_some_and(|status| status >= 500)
    }

    /// The domain it was routed to.
    pub(super) fn domain(&self) -> Option<&DomainName> {
        self.domain_node().map(|node| &node.virtual_host.domain)
    }

    /// The same with all that routing knows of it.
    pub(super) fn domain_node(&self) -> Option<&DomainNode> {
        let pinned = self.pinned.as_ref().map(|pinned| &pinned.domain);
        pinned.or(self.waits_for.as_ref()).map(|node| &**node)
    }

    /// The backend it goes to, or went to last.
    pub(super) fn backend(&self) -> Option<&Arc<BackendNode>> {
        self.chosen.as_ref().map(|chosen| &chosen.node).or(self.tried.last())
    }
}

/// A request that goes without an end was cut off.
impl Drop for RequestContext {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            access_log::cut_off(&asked, self);
        }
    }
}
