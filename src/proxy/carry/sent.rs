//! A request on its way to a backend: which one, what was tried, and what is held for its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::counters::InFlightGuard;
use crate::model::Reason;
use crate::places::Who;
use crate::proxy::balance::{Choice, Chosen, Terms, choose, stay};
use crate::proxy::client::connection::Connection;
use crate::proxy::decision::Forward;
use crate::proxy::limits::{BodyMeter, Retries, wait_for_room};
use crate::proxy::memory::{Account, Gate};
use crate::proxy::options::UpstreamOptions;
use crate::state::{BackendNode, Pinned, Pool};

/// What is known since a backend was chosen.
#[derive(Debug)]
pub(super) struct Sent {
    /// The backend that it goes to.
    pub(super) chosen: Option<Chosen>,
    forward: Forward,
    /// Backends that it could not be sent to.
    pub(super) tried: Vec<Arc<BackendNode>>,
    /// When it was given to the backend that it goes to.
    pub(super) at: Option<Instant>,
    /// When that backend's answer began.
    pub(super) answered_at: Option<Instant>,
    /// Whether it was sent again because a kept connection had been closed.
    pub(super) replayed: bool,
    /// Keeps it counted as tried on a further backend.
    retry: Option<InFlightGuard>,
    /// Why it was sent to the old tag, if it was: the one on trial has failed it.
    netted: Option<Netted>,
    /// Whether it would have been, but for the retry budget.
    pub(super) is_over_budget: bool,
    /// What is held of its answer.
    pub(super) account: Option<Arc<Account>>,
    /// The gate of the connection that it runs on.
    gate: Option<Arc<Gate>>,
    /// Measures its body, where it has one.
    pub(super) body: Option<BodyMeter>,
    /// Why its body was cut off.
    pub(super) cut_off: Option<Reason>,
    /// Whose body the client gets.
    pub(super) body_of: BodyOf,
    /// Begins to follow whether what an event stream runs on is left, where Pingora carries it.
    pub(super) is_stream: Option<oneshot::Sender<()>>,
}

/// How far a request had come that was sent to the old tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Netted {
    /// The tag on trial had nobody to send it to: it was tried nowhere.
    Unsent,
    /// The tag on trial has failed it.
    Tried,
}

/// Whose body a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyOf {
    Backend,
    /// A page was sent in its place.
    Page,
    /// The answer has none.
    Nobody,
}

/// What backends are chosen from.
#[derive(Clone, Copy)]
struct Candidates<'a> {
    pinned: &'a Pinned,
    forward: &'a Forward,
    upstream: &'a UpstreamOptions,
    tried: &'a [Arc<BackendNode>],
}

impl Candidates<'_> {
    fn choice(self, pool: &Pool) -> Choice {
        let terms = Terms {
            balance: &self.pinned.domain.virtual_host.top.balance,
            key: self.forward.hash_key,
            most: self.upstream.max_requests,
            slow_start: self.upstream.slow_start,
            tried: self.tried,
        };
        match self.forward.stays_with.as_ref().and_then(|id| stay(pool, id, &terms)) {
            Some(chosen) => Choice::Chosen(chosen),
            None => choose(pool, &terms),
        }
    }
}

/// The choice is kept, or there is none.
fn kept(choice: Choice) -> Option<Chosen> {
    match choice {
        Choice::Chosen(chosen) => Some(chosen),
        Choice::Busy | Choice::None => None,
    }
}

impl Sent {
    /// Chooses a backend of the pinned pool; waits in order, as `who`, while all are busy. Where the tag is on trial and
    /// none of it can serve, the old one may, if the request `may_fall` to it: nothing was sent, so that is no retry.
    ///
    /// # Errors
    /// When too many wait, or it takes too long.
    pub(super) async fn choose(
        pinned: &Pinned,
        forward: Forward,
        upstream: &UpstreamOptions,
        may_fall: bool,
        who: impl FnOnce() -> Who,
    ) -> Result<Option<Self>, Reason> {
        let Some(pool) = &pinned.pool else { return Ok(None) };
        let candidates = Candidates { pinned, forward: &forward, upstream, tried: &[] };
        // Nobody overtakes those who wait.
        let has_limits = upstream.max_requests.is_some() || pool.has_limits();
        let is_behind = has_limits && pool.queue().waiting() > 0;
        let mut choice = if is_behind { Choice::Busy } else { candidates.choice(pool) };
        if matches!(choice, Choice::Busy) {
            let waiting = wait_for_room(pool, upstream, who(), || candidates.choice(pool));
            // Boxed: few requests wait, and all would carry what waiting needs.
            choice = Box::pin(waiting).await?;
        }
        if let Some(chosen) = kept(choice) {
            return Ok(Some(Self::new(chosen, forward)));
        }
        let net = pinned.net.as_ref().filter(|_| may_fall);
        let caught = net.and_then(|net| kept(candidates.choice(net)));
        Ok(caught.map(|chosen| {
            let mut sent = Self::new(chosen, forward);
            sent.netted = Some(Netted::Unsent);
            sent
        }))
    }

    fn new(chosen: Chosen, forward: Forward) -> Self {
        Self {
            chosen: Some(chosen),
            forward,
            tried: Vec::new(),
            at: None,
            answered_at: None,
            replayed: false,
            retry: None,
            netted: None,
            is_over_budget: false,
            account: None,
            gate: None,
            body: None,
            cut_off: None,
            body_of: BodyOf::Backend,
            is_stream: None,
        }
    }

    /// Gives up the backend that it was sent to, and chooses another where it may be tried there, `running`
    /// requests being under way.
    pub(super) fn try_elsewhere(
        &mut self,
        pinned: &Pinned,
        upstream: &UpstreamOptions,
        retries: &Retries,
        running: usize,
    ) -> bool {
        if self.netted == Some(Netted::Tried) {
            return false;
        }
        if let Some(failed) = self.chosen.take() {
            self.tried.push(failed.node);
        }
        if self.tried.len() >= upstream.max_tries || !self.may_try_again(upstream, retries, running)
        {
            return false;
        }
        self.chosen = self.choose_again(pinned, upstream);
        self.chosen.is_some()
    }

    /// Gives up the tag on trial, and chooses a backend of the old one: once.
    pub(super) fn fall(
        &mut self,
        pinned: &Pinned,
        upstream: &UpstreamOptions,
        retries: &Retries,
        running: usize,
    ) -> bool {
        let Some(net) = pinned.net.as_ref().filter(|_| !self.is_netted()) else { return false };
        if !self.may_try_again(upstream, retries, running) {
            return false;
        }
        let (forward, tried) = (&self.forward, &self.tried[..]);
        let candidates = Candidates { pinned, forward, upstream, tried };
        let Some(chosen) = kept(candidates.choice(net)) else { return false };
        if let Some(failed) = self.chosen.replace(chosen) {
            self.tried.push(failed.node);
        }
        // Its connection is another one, and so is what becomes of it.
        (self.netted, self.replayed) = (Some(Netted::Tried), false);
        true
    }

    fn may_try_again(
        &mut self,
        upstream: &UpstreamOptions,
        retries: &Retries,
        running: usize,
    ) -> bool {
        if self.retry.is_none() {
            self.retry = retries.enter(running, upstream.retry_budget_percent);
            self.is_over_budget = self.retry.is_none();
        }
        self.retry.is_some()
    }

    /// Without a wait. When all have been tried, the last one is tried again if its name stands for
    /// further addresses.
    fn choose_again(&self, pinned: &Pinned, upstream: &UpstreamOptions) -> Option<Chosen> {
        let (forward, tried) = (&self.forward, &self.tried[..]);
        let candidates = Candidates { pinned, forward, upstream, tried };
        let pool = if self.is_netted() { &pinned.net } else { &pinned.pool };
        let choice = pool.as_ref().map(|pool| candidates.choice(pool));
        choice.and_then(kept).or_else(|| {
            let last =
                tried.last().filter(|last| self.tries_of(last) < last.live.endpoints().len());
            Chosen::admit(last?, upstream.max_requests).ok()
        })
    }

    /// Whether the tag on trial has failed it, and it was sent to the old one.
    pub(super) fn is_netted(&self) -> bool {
        self.netted.is_some()
    }

    /// It has a connection with a backend, which has a gate unless it speaks HTTP/2.
    pub(super) fn connected(&mut self, gate: Option<Arc<Gate>>, connection: &Connection) {
        self.leave_gate();
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
    pub(super) fn waits_for_client(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.is_full())
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
        let sent_at = self.at?;
        Some(self.answered_at.map_or_else(|| sent_at.elapsed(), |at| at - sent_at))
    }

    /// The backend that it goes to, or went to last.
    pub(super) fn backend(&self) -> Option<&Arc<BackendNode>> {
        self.chosen.as_ref().map(|chosen| &chosen.node).or(self.tried.last())
    }

    /// Whether the client's cookie names the backend that it goes to.
    pub(super) fn stays(&self) -> bool {
        let named = self.forward.stays_with.as_ref();
        named.is_some() && named == self.backend().map(|node| &node.backend.id)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.leave_gate();
    }
}
