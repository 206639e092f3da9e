//! What is known of a request, stage by stage. It has come; it was looked at; it waits for its domain, or
//! has one; it was sent to a backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asked::Asked;
use super::failure::Failure;
use super::headers::RequestId;
use super::sent::Sent;
use crate::counters::InFlightGuard;
use crate::model::{DomainName, Reason};
use crate::places::{ClientKey, Who, client_network};
use crate::proxy::client::connection::Arrival;
use crate::proxy::client::sender::Client;
use crate::proxy::decision::Kind;
use crate::proxy::host::split::Newcomer;
use crate::proxy::limits::{RateFields, RequestShare};
use crate::proxy::memory::{Budget, Gate};
use crate::proxy::options::ProxyOptions;
use crate::stable_hash::stable_hash;
use crate::state::{BackendNode, DomainNode, Pinned};

/// One request. Whatever is counted for it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RequestContext {
    /// When its head had been read.
    pub(super) started: Instant,
    /// The options that it goes by to its end.
    pub(super) options: Arc<ProxyOptions>,
    /// The connection that it came over.
    pub(super) arrival: Arrival,
    /// What its head says; nothing before its first phase.
    pub(super) seen: Option<Seen>,
    pub(super) stage: Stage,
    /// What its answer says of its domain's rate limits.
    pub(super) rate: Option<Box<RateFields>>,
    /// Its id, where the client sent none.
    pub(super) request_id: Option<RequestId>,
    /// Whom it was dealt out as, where its client has no cookie for that yet.
    pub(super) newcomer: Option<Newcomer>,
    /// Why it was refused or failed.
    pub(super) failure: Option<Failure>,
    /// What it asked for, until it has ended and that is logged.
    pub(super) asked: Option<Asked>,
    /// Keeps the server from stopping before it is answered; `None` where its connection does.
    _busy: Option<InFlightGuard>,
}

/// What is known since its head was looked at.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) client: Client,
    pub(super) kind: Kind,
    pub(super) is_secure: bool,
    /// Whether its connection carries no further one.
    pub(super) is_last: bool,
    /// Keeps it counted among those of its client at once.
    pub(super) share: Option<RequestShare>,
}

/// How far it has come.
#[expect(clippy::large_enum_variant, reason = "most are sent, and a box is an allocation for each")]
#[derive(Debug)]
pub(super) enum Stage {
    /// It has no domain.
    Arrived,
    /// It waits for a paused domain, and is not counted in flight meanwhile: a switch has nothing to
    /// drain then.
    Waiting(Arc<DomainNode>),
    Routed(Pinned),
    Sent(Pinned, Sent),
}

impl Stage {
    /// A backend was chosen for it.
    pub(super) fn send(&mut self, sent: Sent) {
        if let Self::Routed(pinned) = std::mem::replace(self, Self::Arrived) {
            *self = Self::Sent(pinned, sent);
        }
    }
}

impl RequestContext {
    pub(super) fn new(
        options: Arc<ProxyOptions>,
        arrival: Arrival,
        busy: Option<InFlightGuard>,
    ) -> Self {
        Self {
            started: Instant::now(),
            options,
            arrival,
            seen: None,
            stage: Stage::Arrived,
            rate: None,
            request_id: None,
            newcomer: None,
            failure: None,
            asked: None,
            _busy: busy,
        }
    }

    /// What may be held on behalf of its connection.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.arrival.connection.budget
    }

    pub(super) fn client(&self) -> Option<Client> {
        self.seen.as_ref().map(|seen| seen.client)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.seen.as_ref().map_or(Kind::Plain, |seen| seen.kind)
    }

    pub(super) fn is_last(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is_last)
    }

    pub(super) fn pinned(&self) -> Option<&Pinned> {
        match &self.stage {
            Stage::Routed(pinned) | Stage::Sent(pinned, _) => Some(pinned),
            Stage::Arrived | Stage::Waiting(_) => None,
        }
    }

    pub(super) fn sent(&self) -> Option<&Sent> {
        match &self.stage {
            Stage::Sent(_, sent) => Some(sent),
            _ => None,
        }
    }

    pub(super) fn sent_mut(&mut self) -> Option<&mut Sent> {
        match &mut self.stage {
            Stage::Sent(_, sent) => Some(sent),
            _ => None,
        }
    }

    /// It has a connection with a backend.
    pub(super) fn connected(&mut self, gate: Option<Arc<Gate>>) {
        if let Stage::Sent(_, sent) = &mut self.stage {
            sent.connected(gate, &self.arrival.connection);
        }
    }

    /// For whom it takes what all clients share: its client, and for its domain.
    pub(super) fn who(&self) -> Who {
        let origin = self.client().and_then(|client| client.origin);
        let domain = self.domain().map(|domain| stable_hash(domain.to_string().as_bytes()));
        Who {
            client: origin.map_or(ClientKey::UNKNOWN, ClientKey::of),
            group: domain.unwrap_or_default(),
        }
    }

    /// The domain that it is for.
    pub(super) fn domain_node(&self) -> Option<&Arc<DomainNode>> {
        match &self.stage {
            Stage::Arrived => None,
            Stage::Waiting(domain) => Some(domain),
            Stage::Routed(pinned) | Stage::Sent(pinned, _) => Some(&pinned.domain),
        }
    }

    pub(super) fn domain(&self) -> Option<&DomainName> {
        self.domain_node().map(|node| &node.virtual_host.domain)
    }

    /// The backend that it goes to, or went to last.
    pub(super) fn backend(&self) -> Option<&Arc<BackendNode>> {
        self.sent()?.backend()
    }

    /// How many tries were made, the one that runs included.
    pub(super) fn attempts(&self) -> usize {
        self.sent().map_or(0, Sent::attempts)
    }

    /// How long the backend took until its answer began, or until it failed.
    pub(super) fn upstream_time(&self) -> Option<Duration> {
        self.sent()?.upstream_time()
    }

    /// The network of its client, as a number; all clients that can't be distinguished have the same.
    pub(super) fn network(&self) -> u64 {
        let origin = self.client().and_then(|client| client.origin);
        origin.map_or(0, |origin| stable_hash(&client_network(origin).octets()))
    }

    /// Whether the tag on trial has failed it, and the old one was asked then.
    pub(super) fn is_netted(&self) -> bool {
        self.sent().is_some_and(Sent::is_netted)
    }

    /// Whether its backend has failed it, where its end says something of that at all: what clients, limits or
    /// operators have ended doesn't.
    pub(super) fn speaks_of_backend(&self, status: Option<u16>) -> Option<bool> {
        if self.is_netted() {
            return Some(true);
        }
        match &self.failure {
            // A place in a queue is one of our limits.
            Some(failure) => match failure.reason {
                Reason::Upstream(_) | Reason::NoBackend => Some(true),
                _ => None,
            },
            None => status.map(|status| status >= 500),
        }
    }

    /// Whether the server's side failed it.
    pub(super) fn has_failed(&self, status: Option<u16>) -> bool {
        let reason = self.failure.as_ref().map(|failure| failure.reason);
        matches!(reason, Some(Reason::Upstream(_))) || status.is_some_and(|status| status >= 500)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each request in flight holds one.
    #[test]
    fn a_request_stays_small() {
        assert!(size_of::<RequestContext>() <= 1000, "{}", size_of::<RequestContext>());
    }
}
