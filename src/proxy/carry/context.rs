//! What a request carries through the phases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::http::RequestHeader;

use super::access_log::{self, Asked};
use super::admit::RequestShare;
use super::failure::Failure;
use super::headers::RequestId;
use crate::counters::InFlightGuard;
use crate::model::{BackendId, Balance, DomainName, Reason};
use crate::places::{ClientKey, PlaceInLine, Who, client_network};
use crate::proxy::balance::{Choice, Chosen, Terms, choose, stay};
use crate::proxy::client::connection::{CONNECTION, Connection};
use crate::proxy::client::sender::Client;
use crate::proxy::limits::{BodyMeter, RateFields, Retries, wait_for_room};
use crate::proxy::memory::{Account, Gate};
use crate::proxy::options::ProxyOptions;
use crate::proxy::wire::request::cookies;
use crate::stable_hash::stable_hash;
use crate::state::{BackendNode, DomainNode, Pinned, Pool};

/// Whose body a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyOf {
    Backend,
    /// A page was sent in its place.
    Page,
    /// The answer has none.
    Nobody,
}

/// The facts of one request. Whatever is counted for it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RequestContext {
    /// When its head had been read.
    pub(crate) started: Instant,
    /// The options that it goes by to its end.
    pub(crate) options: Arc<ProxyOptions>,
    /// Its client's connection.
    pub(crate) connection: Option<Arc<Connection>>,
    /// Who sent it, and whether its forwarded headers are believed.
    pub(crate) client: Option<Client>,
    /// Its domain and pool, once routed.
    pub(crate) pinned: Option<Pinned>,
    /// The backend it goes to.
    pub(crate) chosen: Option<Chosen>,
    /// Backends that it could not be sent to.
    pub(crate) tried: Vec<Arc<BackendNode>>,
    /// When it was given to the backend that it goes to.
    pub(crate) sent_at: Option<Instant>,
    /// When that backend's answer began.
    pub(crate) answered_at: Option<Instant>,
    /// Whether it was sent again because a kept connection had been closed.
    pub(crate) replayed: bool,
    /// The backend that its cookie names.
    pub(crate) stays_with: Option<BackendId>,
    /// The paused domain that it waits for; not pinned meanwhile.
    pub(crate) waits_for: Option<Arc<DomainNode>>,
    /// Its turn to go on after a pause, until it is routed.
    pub(crate) turn: Option<PlaceInLine>,
    /// Whose body the client gets.
    pub(crate) body_of: BodyOf,
    /// What stands for it where backends are chosen by a hash.
    pub(crate) hash_key: Option<u64>,
    /// Keeps it counted as tried on a further backend.
    pub(crate) retry: Option<InFlightGuard>,
    /// Whether it would have been, but for the retry budget.
    pub(crate) is_over_budget: bool,
    /// What is held of its answer, once it has gone to a backend.
    pub(crate) account: Option<Arc<Account>>,
    /// The gate of the connection that it runs on.
    gate: Option<Arc<Gate>>,
    /// Measures its body, where it has one.
    pub(crate) body: Option<BodyMeter>,
    /// Why its body was cut off.
    pub(crate) cut_off: Option<Reason>,
    /// What its answer says of its domain's rate limits.
    pub(crate) rate: Option<Box<RateFields>>,
    /// Keeps it counted among those of its client at once.
    pub(crate) share: Option<RequestShare>,
    /// Whether its connection carries no further one.
    pub(crate) is_last: bool,
    /// Its id, where the client sent none.
    pub(crate) request_id: Option<RequestId>,
    /// Why it was refused or failed.
    pub(crate) failure: Option<Failure>,
    /// What it asked for, until it has ended and that is told.
    pub(crate) asked: Option<Asked>,
    /// Keeps the server from stopping before it is answered; nothing where its connection does.
    pub(crate) busy: Option<InFlightGuard>,
}

impl RequestContext {
    pub(crate) fn new(options: Arc<ProxyOptions>, busy: InFlightGuard) -> Self {
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
            body_of: BodyOf::Backend,
            hash_key: None,
            retry: None,
            is_over_budget: false,
            account: None,
            gate: None,
            body: None,
            cut_off: None,
            rate: None,
            share: None,
            is_last: false,
            request_id: None,
            failure: None,
            asked: None,
            busy: Some(busy),
        }
    }

    /// Chooses a backend of the pinned pool that has not been tried, and keeps it; waits in order while
    /// all are busy.
    ///
    /// # Errors
    /// When too many wait, or it takes too long.
    pub(crate) async fn choose_or_wait(&mut self) -> Result<bool, Reason> {
        let Some(pool) = self.pinned.as_ref().and_then(|pinned| pinned.pool.as_ref()) else {
            return Ok(false);
        };
        // Nobody overtakes those who wait.
        let is_behind = self.options.upstream.max_requests.is_some() && pool.queue().waiting() > 0;
        let mut choice = if is_behind { Choice::Busy } else { self.choice(pool) };
        if matches!(choice, Choice::Busy) {
            let (upstream, who) = (&self.options.upstream, self.who());
            // Boxed: few requests wait, and all would carry what waiting needs.
            choice = Box::pin(wait_for_room(pool, upstream, who, || self.choice(pool))).await?;
        }
        Ok(self.keep(choice))
    }

    /// The same for a further try, without a wait. When all have been tried, the last one is tried again
    /// if its name stands for further addresses.
    pub(crate) fn choose_again(&mut self) -> bool {
        let pool = self.pinned.as_ref().and_then(|pinned| pinned.pool.as_ref());
        let choice = pool.map_or(Choice::None, |pool| self.choice(pool));
        if self.keep(choice) {
            return true;
        }
        if let Some(last) = self.tried.last()
            && self.tries_of(last) < last.live.endpoints().len()
        {
            self.chosen = Chosen::admit(last, self.options.upstream.max_requests).ok();
        }
        self.chosen.is_some()
    }

    /// For whom it takes what all clients share: its client, and for its domain.
    pub(crate) fn who(&self) -> Who {
        let origin = self.client.and_then(|client| client.origin);
        let domain = self.domain().map(|domain| stable_hash(domain.to_string().as_bytes()));
        Who {
            client: origin.map_or(ClientKey::UNKNOWN, ClientKey::of),
            group: domain.unwrap_or_default(),
        }
    }

    /// What stands for a request where its domain's backends are chosen by a hash.
    pub(crate) fn hash_of(&self, request: &RequestHeader) -> Option<u64> {
        match &self.pinned.as_ref()?.domain.virtual_host.balance {
            Balance::RoundRobin | Balance::LeastConnections | Balance::LeastLatency => None,
            Balance::HashClient => {
                // One that is unknown is nobody's, and not the proxy's either.
                Some(stable_hash(&client_network(self.client?.origin?).octets()))
            }
            Balance::HashHeader(name) => {
                request.headers.get(name).map(|value| stable_hash(value.as_bytes()))
            }
            Balance::HashCookie(name) => {
                cookies(request, name).next().map(|cookie| stable_hash(cookie.value().as_bytes()))
            }
        }
    }

    fn choice(&self, pool: &Pool) -> Choice {
        let Some(pinned) = &self.pinned else { return Choice::None };
        let terms = Terms {
            balance: &pinned.domain.virtual_host.balance,
            key: self.hash_key,
            most: self.options.upstream.max_requests,
            slow_start: self.options.upstream.slow_start,
            tried: &self.tried,
        };
        match self.stays_with.as_ref().and_then(|id| stay(pool, id, &terms)) {
            Some(chosen) => Choice::Chosen(chosen),
            None => choose(pool, &terms),
        }
    }

    fn keep(&mut self, choice: Choice) -> bool {
        self.chosen = match choice {
            Choice::Chosen(chosen) => Some(chosen),
            Choice::Busy | Choice::None => None,
        };
        self.chosen.is_some()
    }

    /// Whether it may be tried on a further backend, `running` requests being under way.
    pub(crate) fn may_try_again(&mut self, retries: &Retries, running: usize) -> bool {
        if self.retry.is_none() {
            self.retry = retries.enter(running, self.options.upstream.retry_budget_percent);
            self.is_over_budget = self.retry.is_none();
        }
        self.retry.is_some()
    }

    /// It has a connection with a backend, which has a gate unless it speaks HTTP/2.
    pub(crate) fn connected(&mut self, gate: Option<Arc<Gate>>) {
        self.leave_gate();
        let Some(connection) = &self.connection else { return };
        let account =
            self.account.get_or_insert_with(|| Account::open(Arc::clone(&connection.budget)));
        if let Some(gate) = &gate {
            gate.attach(account);
        }
        self.gate = gate;
    }

    fn leave_gate(&mut self) {
        if let (Some(gate), Some(account)) = (self.gate.take(), &self.account) {
            gate.detach(account);
        }
    }

    /// Whether the backend waits for the client to take what it has sent.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.is_full())
    }

    /// How often a backend has been tried in vain.
    pub(crate) fn tries_of(&self, node: &Arc<BackendNode>) -> usize {
        self.tried.iter().filter(|tried| Arc::ptr_eq(tried, node)).count()
    }

    /// How many tries were made, the one that runs included.
    pub(crate) fn attempts(&self) -> usize {
        self.tried.len() + usize::from(self.chosen.is_some()) + usize::from(self.replayed)
    }

    /// How long the backend took until its answer began, or until it failed.
    pub(crate) fn upstream_time(&self) -> Option<Duration> {
        let sent_at = self.sent_at?;
        Some(self.answered_at.map_or_else(|| sent_at.elapsed(), |at| at - sent_at))
    }

    /// Whether the server's side failed it.
    pub(crate) fn has_failed(&self, status: Option<u16>) -> bool {
        let reason = self.failure.as_ref().map(|failure| failure.reason);
        matches!(reason, Some(Reason::Upstream(_))) || status.is_some_and(|status| status >= 500)
    }

    /// The domain it was routed to.
    pub(crate) fn domain(&self) -> Option<&DomainName> {
        self.domain_node().map(|node| &node.virtual_host.domain)
    }

    /// The same with all that routing knows of it.
    pub(crate) fn domain_node(&self) -> Option<&DomainNode> {
        let pinned = self.pinned.as_ref().map(|pinned| &pinned.domain);
        pinned.or(self.waits_for.as_ref()).map(|node| &**node)
    }

    /// The backend it goes to, or went to last.
    pub(crate) fn backend(&self) -> Option<&Arc<BackendNode>> {
        self.chosen.as_ref().map(|chosen| &chosen.node).or(self.tried.last())
    }
}

/// A request that goes without an end was cut off.
impl Drop for RequestContext {
    fn drop(&mut self) {
        self.leave_gate();
        if let Some(asked) = self.asked.take() {
            access_log::cut_off(&asked, self);
        }
    }
}
