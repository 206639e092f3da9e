//! Says what would become of a request, by the functions that route one.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, Method, header};
use pingora::http::RequestHeader;

use crate::clock::whole_millis;
use crate::model::Reason;
use crate::model::{
    BackendStanding, BackendState, Explanation, HeaderLine, LiveTag, Match, MatchedBy, OptionSet,
    Pattern, Refusal, RequestTimeouts, RequestUrl, TlsMode, Unfit, UpstreamFailure,
};
use crate::proxy::host::location::location;
use crate::proxy::host::paths;
use crate::proxy::options::{Https, ProxyOptions, SharedOptions};
use crate::proxy::wire::request::{challenge_token, routed_host, wants_websocket};
use crate::state::{BackendNode, DomainNode, Pool, Snapshot, Standing};
use crate::tls::Slot;

/// Explains requests as the request path of these options would route them.
#[derive(Clone)]
pub struct Explainer {
    options: SharedOptions,
    https: Option<Arc<Https>>,
}

impl Explainer {
    /// For the request path that goes by `options`, and serves HTTPS with `https` where it does.
    pub fn new(options: SharedOptions, https: Option<Arc<Https>>) -> Self {
        Self { options, https }
    }

    /// What would become of a GET of `url` with `headers`. When and by whom its tag became live is
    /// the history's to add.
    pub fn explain(
        &self,
        snapshot: &Snapshot,
        url: &RequestUrl,
        headers: &[HeaderLine],
    ) -> Explanation {
        let options = self.options.load();
        let request = request(url, headers);
        let mut explanation = Explanation {
            revision: snapshot.revision(),
            host: None,
            path: url.path().to_owned(),
            matched: None,
            near: None,
            route: None,
            live: None,
            balance: None,
            backends: Vec::new(),
            timeouts: timeouts(&options, request.as_ref()),
            tries: options.upstream.max_tries,
            trusted_proxies: options.trusted_proxies.iter().map(ToString::to_string).collect(),
            refused: None,
            notes: Vec::new(),
        };
        let routed = match &request {
            Some(request) => route(snapshot, request, &mut explanation),
            None => Err(Reason::BadRequest),
        };
        explanation.refused = routed.err().map(refusal);
        if let Some(request) = &request {
            if url.is_https() {
                self.handshake(snapshot, &mut explanation);
            } else {
                let note = self.redirect(snapshot, &explanation, request);
                explanation.notes.extend(note);
            }
        }
        explanation
    }

    /// Adds what would become of the handshake before a request over HTTPS, where it is not simply made.
    fn handshake(&self, snapshot: &Snapshot, explanation: &mut Explanation) {
        let Some(https) = &self.https else {
            let note = "HTTPS is not served: there is no `proxy.listen_addr`";
            explanation.notes.push(note.to_owned());
            return;
        };
        let Some(host) = explanation.host.clone() else { return };
        let Some((by, domain)) = snapshot.route_by(&host) else { return };
        let any = || (by == MatchedBy::Default).then(|| https.certificates.any()).flatten();
        let name = explanation.matched.as_ref().map_or(host.clone(), |m| m.name.to_string());
        let (refused, note) = if domain.virtual_host.tls == TlsMode::Off {
            let has_default = https.certificates.default_certificate().is_some();
            let refused = (!has_default).then_some(Reason::UnknownServerName);
            (refused, format!("`{name}` has no HTTPS: its `tls` is off"))
        } else {
            match https.certificates.find(&host).or_else(any) {
                Some(Slot::Ready(_)) => return,
                Some(Slot::Pending) => {
                    let note =
                        format!("the certificate of `{host}` is on its way; clients wait for it");
                    (None, note)
                }
                Some(Slot::OnDemand) => {
                    (None, format!("the certificate of `{host}` comes when a client asks for it"))
                }
                Some(Slot::Unavailable) | None => {
                    let see = format!("`vhost ctl cert show '{name}'` says why");
                    (Some(Reason::NoCertificate), format!("there is no certificate; {see}"))
                }
            }
        };
        explanation.notes.push(note);
        if let Some(reason) = refused {
            explanation.refused = Some(refusal(reason));
        }
    }

    /// Where a request over plain HTTP is sent instead.
    fn redirect(
        &self,
        snapshot: &Snapshot,
        explanation: &Explanation,
        request: &RequestHeader,
    ) -> Option<String> {
        let (https, host) = (self.https.as_ref()?, explanation.host.as_deref()?);
        let (_, node) = snapshot.route_by(host)?;
        let redirects = node.virtual_host.http_to_https && https.certificates.is_trusted(host);
        redirects.then(|| {
            let location = location(host, https.port, request);
            format!("plain HTTP is redirected to {location}; this is what is served there")
        })
    }
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explainer").field("options", &self.options).finish_non_exhaustive()
    }
}

fn timeouts(options: &ProxyOptions, request: Option<&RequestHeader>) -> RequestTimeouts {
    let upstream = &options.upstream;
    let (silent_backend, silent_client) = if request.is_some_and(wants_websocket) {
        (options.websocket_idle_timeout, options.websocket_idle_timeout)
    } else {
        (upstream.read_timeout, options.read_timeout)
    };
    RequestTimeouts {
        connect_ms: whole_millis(upstream.connect_timeout),
        read_ms: whole_millis(silent_backend),
        write_ms: whole_millis(upstream.write_timeout),
        client_read_ms: whole_millis(silent_client),
        client_write_ms: whole_millis(options.write_timeout),
        idle_ms: whole_millis(upstream.idle_timeout),
    }
}

/// The request as it would arrive. Nothing when no parser would take it.
fn request(url: &RequestUrl, headers: &[HeaderLine]) -> Option<RequestHeader> {
    let mut request = RequestHeader::build(Method::GET, url.path().as_bytes(), None).ok()?;
    request.insert_header(header::HOST, url.authority()).ok()?;
    for header in headers {
        let name: HeaderName = header.name().clone();
        if name == header::HOST {
            request.insert_header(name, header.value().clone()).ok()?;
        } else {
            request.append_header(name, header.value().clone()).ok()?;
        }
    }
    Some(request)
}

/// Follows the request as far as it gets.
fn route(
    snapshot: &Snapshot,
    request: &RequestHeader,
    explanation: &mut Explanation,
) -> Result<(), Reason> {
    let mut buffer = [0; 256];
    let host = routed_host(request, &mut buffer)?;
    explanation.host = Some(host.to_owned());
    let (by, node) = snapshot.route_by(host).ok_or(Reason::UnknownHost)?;
    let virtual_host = &node.virtual_host;
    explanation.matched = Some(matched(node, by, host));
    explanation.live = Some(LiveTag {
        tag: virtual_host.live.clone(),
        previous: virtual_host.previous.clone(),
        since: None,
        switching: None,
    });
    explanation.balance = Some(virtual_host.balance.clone());
    let path = request.uri.path();
    let route = node.route_of(path);
    explanation.route = route.map(|route| node.option_of(route).clone());
    explanation.notes.extend(notes(virtual_host.options.get(), host));
    if virtual_host.options.get().maintenance.is_some() && challenge_token(request).is_none() {
        return Err(Reason::Maintenance);
    }
    if !paths::is_plain(node, route, path) {
        return Err(Reason::BadRequest);
    }
    let pool = snapshot.pool(&node.tag_of(route).tag).ok_or(Reason::NoBackend)?;
    explanation.backends = standings(pool);
    if explanation.backends.iter().any(|backend| backend.unfit.is_none()) {
        return Ok(());
    }
    // One of them would be chosen, and there is no address to connect to.
    let unresolved = |backend: &BackendStanding| backend.unfit == Some(Unfit::Unresolved);
    let is_chosen = explanation.backends.iter().any(unresolved);
    Err(if is_chosen {
        Reason::Upstream(UpstreamFailure::ConnectFailed)
    } else {
        Reason::NoBackend
    })
}

/// What a client meets on the way to a backend.
fn notes(options: &OptionSet, host: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(canonical) = &options.canonical_host
        && *canonical.to_string() != *host
    {
        notes.push(format!("it is redirected to `{canonical}`; this is what is served there"));
    }
    if options.basic_auth.is_some() {
        notes.push("it must come with a name and a password".to_owned());
    }
    if let Some(pause) = &options.pause {
        notes.push(format!("the domain is paused: it waits for up to {} s", pause.max_wait_secs));
    }
    if options.sticky.is_some() {
        notes.push("a client that comes with its cookie stays with its backend".to_owned());
    }
    notes
}

fn matched(node: &DomainNode, by: MatchedBy, host: &str) -> Match {
    let virtual_host = &node.virtual_host;
    let fits = |name: &&crate::model::DomainName| match (by, name.pattern()) {
        (MatchedBy::Exact, Pattern::Exact(name)) => **name == *host,
        (MatchedBy::Wildcard, Pattern::Wildcard(base)) => {
            host.split_once('.').is_some_and(|(_, rest)| *rest == **base)
        }
        (MatchedBy::Default, Pattern::Default) => true,
        _ => false,
    };
    let name = virtual_host.names().find(fits).unwrap_or(&virtual_host.domain).clone();
    let domain = virtual_host.domain.clone();
    Match { alias: name != domain, name, domain, by }
}

fn standings(pool: &Pool) -> Vec<BackendStanding> {
    let is_fit = |node: &&Arc<BackendNode>| node.standing() == Standing::Fit;
    let mut fit = pool.backends().iter().filter(is_fit);
    let any_fit = fit.clone().next().is_some();
    let others_fit = fit.any(|node| !node.backend.backup);
    pool.backends().iter().map(|node| standing(node, any_fit, others_fit)).collect()
}

fn standing(node: &BackendNode, any_fit: bool, others_fit: bool) -> BackendStanding {
    let (backend, live) = (&node.backend, &node.live);
    let unfit = match (backend.state, node.standing()) {
        (BackendState::Disabled, _) => Some(Unfit::Disabled),
        // Ready and out: it has just begun to drain, in a newer snapshot.
        (BackendState::Draining, _) | (BackendState::Ready, Standing::Out) => Some(Unfit::Draining),
        (BackendState::Ready, Standing::Unhealthy) => Some(Unfit::Unhealthy),
        (BackendState::Ready, Standing::Fallback) if any_fit => Some(Unfit::Unknown),
        (BackendState::Ready, Standing::Fit) if backend.backup && others_fit => Some(Unfit::Backup),
        (BackendState::Ready, Standing::Fit | Standing::Fallback) => {
            live.endpoints().is_empty().then_some(Unfit::Unresolved)
        }
    };
    BackendStanding {
        id: backend.id.clone(),
        address: backend.address.clone(),
        resolved: live.endpoints().texts(),
        scheme: backend.scheme,
        weight: backend.weight,
        state: backend.state,
        health: live.health_report(),
        in_flight: live.in_flight(),
        unfit,
    }
}

fn refusal(reason: Reason) -> Refusal {
    Refusal {
        status: reason.row().answer.map_or(0, |(status, _)| status.as_u16()),
        reason: reason.to_string(),
    }
}
