//! Decides about a request: by its facts, the domain that it is for, and what was done for it so far.
//! No session is read, nothing is awaited and nothing is counted here.

use super::facts::Facts;
use super::verdict::{Answer, Forward, Step, Verdict};
use crate::model::{Balance, OptionSet, Reason, Size, TlsMode};
use crate::places::{PlaceInLine, client_network};
use crate::proxy::host::auth::Login;
use crate::proxy::host::location::location;
use crate::proxy::host::pause::Wait;
use crate::proxy::host::{HostServices, canonical, paths, preview};
use crate::proxy::limits::{declared_too_large, is_denied};
use crate::proxy::options::Https;
use crate::proxy::wire::request::cookies;
use crate::stable_hash::stable_hash;
use crate::state::{DomainNode, Way};

/// What decisions on all requests depend on.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) https: Option<&'a Https>,
    pub(crate) hosts: &'a HostServices,
}

/// The domain of a host, and to which of its tags the request goes.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) domain: &'a DomainNode,
    pub(crate) way: Way,
}

/// What was done for a request so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Progress<'a> {
    pub(crate) site: Option<Site<'a>>,
    /// Whether it was counted against its domain's rate limits.
    pub(crate) is_counted: bool,
    /// Its turn to go on after a pause.
    pub(crate) turn: Option<&'a PlaceInLine>,
    /// Whether its password, and its wait for a paused domain, are taken for granted.
    pub(crate) has_password: bool,
    pub(crate) has_waited: bool,
}

/// What becomes of a request.
pub(crate) fn decide<'r>(
    facts: &Facts<'r>,
    world: World<'_>,
    progress: Progress<'_>,
) -> Verdict<'r> {
    let host = match facts.host {
        _ if facts.is_method_refused() => return Reason::MethodRefused.into(),
        Err(reason) => return reason.into(),
        Ok(host) => host,
    };
    let Some(Site { domain, way }) = progress.site else { return unrouted(facts, world, host) };
    let options = domain.virtual_host.options.get();
    let case = Case { facts, world, progress, host, domain, way, options };
    case.admission()
        .or_else(|| case.closed())
        .or_else(|| case.redirect())
        .or_else(|| case.login())
        .or_else(|| case.preview())
        .or_else(|| case.pause())
        .or_else(|| case.odd_path())
        .unwrap_or_else(|| Verdict::Forward(case.forward()))
}

/// A CA is answered whether the host has a domain or not.
fn unrouted<'r>(facts: &Facts<'r>, world: World<'_>, host: &'r str) -> Verdict<'r> {
    let challenges = world.https.map(|https| &https.challenges);
    let proof = facts.token.zip(challenges).and_then(|(token, all)| all.http01(host, token));
    match proof {
        Some(proof) => Answer::Challenge(proof).into(),
        None => Step::Route(host).into(),
    }
}

/// A request whose domain is known. Each method is a check that may end it, in the order in which they run.
struct Case<'a, 'r> {
    facts: &'a Facts<'r>,
    world: World<'a>,
    progress: Progress<'a>,
    host: &'r str,
    domain: &'a DomainNode,
    way: Way,
    options: &'a OptionSet,
}

impl<'r> Case<'_, 'r> {
    /// Whether the domain serves this client here, not too often, and such a body.
    fn admission(&self) -> Option<Verdict<'r>> {
        if !self.facts.is_here {
            return Some(Reason::Misdirected.into());
        }
        let options = self.options;
        if let Some(client) = self.facts.client {
            let is_listed = !options.allow.is_empty() || !options.deny.is_empty();
            let origin = match client.origin {
                Some(origin) => origin,
                None if is_listed || options.client_rate_limit.is_some() => {
                    return Some(Reason::UnknownClient.into());
                }
                // It counts towards `rate_limit`, whoever it is.
                None => client.ip,
            };
            if is_listed && is_denied(options, origin) {
                return Some(Reason::Denied.into());
            }
            if self.domain.rates().is_some() && !self.progress.is_counted {
                return Some(Step::Count(origin).into());
            }
        }
        let is_too_large = |most: Size| declared_too_large(self.facts.request, most.get());
        self.domain.max_body_bytes().is_some_and(is_too_large).then(|| Reason::BodyTooLarge.into())
    }

    /// Whether the domain is under maintenance, or is asked for an ACME challenge that is not ours.
    fn closed(&self) -> Option<Verdict<'r>> {
        let is_challenge = self.facts.token.is_some();
        let is_ours = self.domain.virtual_host.top.tls == TlsMode::Auto;
        if is_challenge && is_ours && self.world.https.is_some_and(|https| https.acme) {
            return Some(Reason::UnknownChallenge.into());
        }
        let is_closed = self.options.maintenance.is_some() && !is_challenge;
        is_closed.then(|| Reason::Maintenance.into())
    }

    /// To the domain's canonical name, or to HTTPS.
    fn redirect(&self) -> Option<Verdict<'r>> {
        let (https, request) = (self.world.https, self.facts.request);
        let (virtual_host, is_secure) = (&self.domain.virtual_host, self.facts.is_secure);
        let to = canonical::redirected(virtual_host, https, self.host, is_secure, request);
        let to = to.or_else(|| {
            let https = https.filter(|https| {
                virtual_host.top.http_to_https
                    && !is_secure
                    && !self.host.is_empty()
                    && https.certificates.is_trusted(self.host)
            })?;
            Some(location(self.host, https.port, request))
        })?;
        Some(Answer::Redirect(to).into())
    }

    fn login(&self) -> Option<Verdict<'r>> {
        let auth = self.options.basic_auth.as_ref().filter(|_| !self.progress.has_password)?;
        match self.world.hosts.passwords.look(auth, self.facts.request) {
            Login::Passed => None,
            Login::Missing => Some(Reason::Unauthorized.into()),
            Login::Unchecked(attempt) => Some(Step::CheckPassword(attempt).into()),
        }
    }

    /// Whether its browser has followed a link to a preview.
    fn preview(&self) -> Option<Verdict<'r>> {
        let (request, key) = (self.facts.request, &self.world.hosts.sticky);
        let pinned =
            preview::by_link(request, &self.domain.virtual_host, key, self.facts.is_secure);
        Some(Answer::Pin(pinned?).into())
    }

    fn pause(&self) -> Option<Verdict<'r>> {
        let line = self.domain.pause_line().filter(|_| !self.progress.has_waited)?;
        let has_turn = self.progress.turn.is_some_and(|turn| line.has(turn));
        (!has_turn).then(|| Step::Wait(Wait::new(line, &self.domain.virtual_host)).into())
    }

    fn odd_path(&self) -> Option<Verdict<'r>> {
        let is_plain = paths::is_plain(self.domain, self.way.route(), self.facts.path());
        (!is_plain).then(|| Reason::BadRequest.into())
    }

    fn forward(&self) -> Forward {
        let (request, domain) = (self.facts.request, &self.domain.virtual_host.domain);
        let sticky = &self.world.hosts.sticky;
        let stays_with = self.options.sticky.as_ref();
        let stays_with = stays_with.and_then(|option| sticky.backend_of(request, option, domain));
        Forward { stays_with, hash_key: self.hash_key() }
    }

    fn hash_key(&self) -> Option<u64> {
        let request = self.facts.request;
        match &self.domain.virtual_host.top.balance {
            Balance::RoundRobin | Balance::LeastConnections | Balance::LeastLatency => None,
            Balance::HashClient => {
                // A client that the proxy fails to name has no key; the proxy's own address would be a wrong one.
                let origin = self.facts.client?.origin?;
                Some(stable_hash(&client_network(origin).octets()))
            }
            Balance::HashHeader(name) => request.headers.get(name).map(stable_hash),
            Balance::HashCookie(name) => {
                cookies(request, name).next().map(|cookie| stable_hash(cookie.value().as_bytes()))
            }
        }
    }
}
