//! Explains a request that nobody has sent: it is decided about as those that are, what it would wait for
//! is taken for granted, and it is neither counted nor sent.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use super::decide::{Progress, Site, World, decide};
use super::facts::{Facts, Kind, is_secure};
use super::standing::{matched, standings, unserved};
use super::verdict::{Answer, Step, Verdict};
use super::way::way_of;
use crate::clock::whole_millis;
use crate::heads::names::HOST;
use crate::heads::{RequestHead, text_of};
use crate::model::{
    ChosenBy, ChosenTag, DomainName, Explanation, HeaderLine, LiveTag, MatchedBy, Preview,
    RateLimit, Reason, Refusal, RequestTimeouts, RequestUrl, TlsMode, normalise_host,
    time_in_words,
};
use crate::proxy::client::forwarded::Sources;
use crate::proxy::client::sender::Client;
use crate::proxy::host::times::UpstreamTimes;
use crate::proxy::host::{HostServices, preview};
use crate::proxy::limits::check_head;
use crate::proxy::options::{Https, ProxyOptions, SharedOptions};
use crate::proxy::wire::request::{Wire, has_plain_length};
use crate::state::{DomainNode, DomainTimes, Snapshot, Way};
use crate::tls::Slot;

/// Explains requests as the request path of these options would decide about them.
#[derive(Clone)]
pub(crate) struct Explainer {
    options: SharedOptions,
    https: Option<Arc<Https>>,
    hosts: HostServices,
    /// The port of the first listener of plain HTTP.
    plain_port: Option<u16>,
}

/// What would be asked, and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// What a GET would be sent for.
    pub url: &'a RequestUrl,
    /// The headers that it would have.
    pub headers: &'a [HeaderLine],
    /// The address that it would come from. Without it nothing is said of who is let in.
    pub client: Option<IpAddr>,
}

impl Explainer {
    /// For the request path that goes by `options`, and serves HTTPS with `https` where it does.
    pub(crate) fn new(
        options: SharedOptions,
        https: Option<Arc<Https>>,
        hosts: HostServices,
    ) -> Self {
        Self { options, https, hosts, plain_port: None }
    }

    /// Links over plain HTTP name this port.
    pub(crate) fn with_plain_port(self, port: Option<u16>) -> Self {
        Self { plain_port: port, ..self }
    }

    /// The link to a preview; `None` where there is no randomness.
    pub(crate) fn preview_url(
        &self,
        snapshot: &Snapshot,
        domain: &DomainName,
        preview: &Preview,
    ) -> Option<String> {
        let token = preview::token(&self.hosts.sticky, domain, preview)?;
        let is_secure = |https: &&Arc<Https>| {
            let host = snapshot.domain(domain).map(|node| &node.virtual_host);
            https.port != 0 && host.is_some_and(|host| host.top.tls != TlsMode::Off)
        };
        let host = domain.to_string().replace('*', "preview");
        let origin = match self.https.as_ref().filter(is_secure).map(|https| https.port) {
            Some(443) => format!("https://{host}"),
            Some(port) => format!("https://{host}:{port}"),
            None => match self.plain_port.filter(|port| *port != 80) {
                Some(port) => format!("http://{host}:{port}"),
                None => format!("http://{host}"),
            },
        };
        Some(format!("{origin}/?{}", preview::query(&token)))
    }

    /// What would happen to a request. When and by whom its tag became live is the history's to add.
    pub(crate) fn explain(&self, snapshot: &Snapshot, question: Question<'_>) -> Explanation {
        let options = self.options.load();
        let request = request(question);
        let mut explanation = Explanation {
            revision: snapshot.revision(),
            host: None,
            path: question.url.path().to_owned(),
            matched: None,
            near: None,
            route: None,
            chosen: None,
            live: None,
            balance: None,
            backends: Vec::new(),
            timeouts: timeouts(&options, request.as_ref(), &DomainTimes::NONE),
            tries: options.upstream.max_tries,
            trusted_proxies: options.trusted_proxies.iter().map(ToString::to_string).collect(),
            waits_ms: None,
            redirected: None,
            answers_challenge: false,
            refused: None,
            notes: Vec::new(),
        };
        let answer = match &request {
            Some(request) => self.follow(snapshot, question, request, &options, &mut explanation),
            None => Err(Reason::BadRequest.into()),
        };
        let refused = self.handshake(snapshot, question, &mut explanation);
        match refused.map_or(answer, |reason| Err(reason.into())) {
            Ok(()) => {}
            Err(Answer::Refuse(reason)) => explanation.refused = Some(refusal(reason)),
            Err(Answer::Challenge(_)) => explanation.answers_challenge = true,
            Err(Answer::Pin(_)) => {
                let note = "a link to a preview: its browser gets that tag from then on";
                explanation.notes.push(note.to_owned());
            }
            Err(Answer::Redirect(to)) => {
                let note = format!("redirected to {to}; the backends shown are for that URL");
                explanation.notes.push(note);
                explanation.redirected = Some(to);
            }
        }
        explanation
    }

    /// Decides about a request, and adds what is met on its way.
    fn follow(
        &self,
        snapshot: &Snapshot,
        question: Question<'_>,
        request: &RequestHead,
        options: &ProxyOptions,
        explanation: &mut Explanation,
    ) -> Result<(), Answer> {
        let is_https = question.url.is_https();
        let sources = Sources {
            trusted: &options.trusted_proxies,
            header: options.client_ip_header.as_ref(),
        };
        let client = question.client.map(|ip| Client::at(ip, is_https, request, sources));
        let secure = client.map_or(is_https, |client| is_secure(request, client));
        let (mut buffer, mut name) = ([0; 256], [0; 256]);
        let connected = normalise_host(question.url.authority(), &mut name).unwrap_or_default();
        let is_for = |host: &str| !is_https || host == connected || self.covers(connected, host);
        let facts = Facts::of(request, &mut buffer, client, secure, is_for);
        explanation.host = facts.host.ok().map(str::to_owned);
        let wire = Wire::Http1 { head: 0 };
        if let Some(reason) = check_head(request, wire, options.max_header_bytes, options.limits) {
            return Err(reason.into());
        }
        let world = World { https: self.https.as_deref(), hosts: &self.hosts };
        let mut progress = Progress::default();
        loop {
            match decide(&facts, world, progress) {
                Verdict::First(Step::Route(host)) => {
                    let (by, domain) = snapshot.route_by(host).ok_or(Reason::UnknownHost)?;
                    let mut newcomer = None;
                    let way = way_of(domain, &facts, &self.hosts, &mut newcomer);
                    // Who is dealt out at random gets no answer twice: the live tag is shown.
                    let is_chance = newcomer.is_some();
                    let way = if is_chance { domain.way_of_path(facts.path()) } else { way };
                    let site = Site { domain, way };
                    explanation.matched = Some(matched(domain, by, host));
                    describe(site, snapshot, client.is_some(), options, explanation);
                    let is_preview = || {
                        preview::of_cookie(request, &domain.virtual_host, &self.hosts.sticky)
                            .is_some()
                    };
                    explanation.chosen = chosen(site, is_chance, is_preview);
                    explanation.timeouts = timeouts(options, Some(request), domain.times());
                    progress.site = Some(site);
                }
                Verdict::First(Step::Count(_)) => progress.is_counted = true,
                Verdict::First(Step::CheckPassword(_)) => {
                    explanation.notes.push("its name and password would be checked".to_owned());
                    progress.has_password = true;
                }
                Verdict::First(Step::Wait(wait)) => {
                    let limits = wait.limits();
                    explanation.waits_ms = Some(u64::from(limits.max_wait_secs.get()) * 1000);
                    if limits.max_waiting == 0 || limits.max_wait_secs.get() == 0 {
                        return Err(Reason::Paused.into());
                    }
                    progress.has_waited = true;
                }
                Verdict::Answer(answer) => return Err(answer),
                Verdict::Forward(_) => {
                    return unserved(&explanation.backends).map_or(Ok(()), |why| Err(why.into()));
                }
            }
        }
    }

    /// Whether a client that has connected to `name` was shown a certificate for `host`.
    fn covers(&self, name: &str, host: &str) -> bool {
        let certificates = self.https.as_ref().map(|https| &https.certificates);
        match certificates.and_then(|all| all.find(name)) {
            Some(Slot::Ready(served)) => served.certificate.covers_host(host),
            _ => false,
        }
    }

    /// Adds what would become of the handshake before a request over HTTPS, where it is not simply made.
    fn handshake(
        &self,
        snapshot: &Snapshot,
        question: Question<'_>,
        explanation: &mut Explanation,
    ) -> Option<Reason> {
        if !question.url.is_https() {
            return None;
        }
        let Some(https) = &self.https else {
            let note = "HTTPS is not served: there is no `proxy.listen_addr`";
            explanation.notes.push(note.to_owned());
            return None;
        };
        let mut buffer = [0; 256];
        let host = normalise_host(question.url.authority(), &mut buffer).ok()?;
        let (by, domain) = snapshot.route_by(host)?;
        let name = matched(domain, by, host).name;
        let any = || (by == MatchedBy::Default).then(|| https.certificates.any()).flatten();
        let (refused, note) = if domain.virtual_host.top.tls == TlsMode::Off {
            let has_default = https.certificates.default_certificate().is_some();
            let refused = (!has_default).then_some(Reason::UnknownServerName);
            (refused, format!("`{name}` has no HTTPS: its `tls` is off"))
        } else {
            match https.certificates.find(host).or_else(any) {
                Some(Slot::Ready(_)) => return None,
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
        refused
    }
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explainer").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Adds what is known of the domain that answers.
fn describe(
    site: Site<'_>,
    snapshot: &Snapshot,
    is_client_known: bool,
    options: &ProxyOptions,
    explanation: &mut Explanation,
) {
    let (node, virtual_host) = (site.domain, &site.domain.virtual_host);
    explanation.live = Some(LiveTag {
        tag: virtual_host.live.clone(),
        app: virtual_host.app().cloned(),
        release: node.live().release.clone(),
        previous: virtual_host.previous.clone(),
        since: None,
        switching: None,
    });
    explanation.balance = Some(virtual_host.top.balance.clone());
    explanation.route = site.way.route().map(|route| node.option_of(route).clone());
    let pool = snapshot.pool(&node.tag_of(site.way).pool);
    let most = options.upstream.max_requests;
    explanation.backends = pool.map(|pool| standings(pool, most)).unwrap_or_default();
    explanation.notes = notes(node, is_client_known);
    explanation.notes.extend(node.times().close_left.map(|after| {
        let [after, spread] = [after.after(), after.spread()].map(time_in_words);
        format!(
            "a WebSocket or an event stream is ended {after} after its tag or its backend was left, within \
             {spread}"
        )
    }));
}

/// The tag that serves a request where not only its path decides.
fn chosen(site: Site<'_>, is_chance: bool, is_preview: impl FnOnce() -> bool) -> Option<ChosenTag> {
    let (node, virtual_host) = (site.domain, &site.domain.virtual_host);
    let shares = virtual_host.shares();
    let by = match site.way {
        Way::Asked(_) if is_preview() => ChosenBy::Preview,
        Way::Asked(_) => ChosenBy::Header,
        Way::Live | Way::Share(_) if is_chance => ChosenBy::Chance,
        Way::Share(_) => ChosenBy::Share,
        Way::Live if !shares.is_empty() => ChosenBy::Share,
        Way::Live if node.has_choice() => ChosenBy::Live,
        Way::Live | Way::Path(_) => return None,
    };
    let is_by_share = matches!(by, ChosenBy::Share | ChosenBy::Chance);
    let key = || virtual_host.options.get().split.by.clone().unwrap_or_default();
    let of = node.tag_of(site.way);
    Some(ChosenTag {
        tag: of.tag().clone(),
        release: of.release.clone(),
        by,
        key: is_by_share.then(key),
        shares,
    })
}

/// What a client meets on the way to a backend.
fn notes(node: &DomainNode, is_client_known: bool) -> Vec<String> {
    let options = node.virtual_host.options.get();
    let mut notes = Vec::new();
    if let Some(pause) = &options.pause {
        notes.push(format!(
            "the domain is paused: a request waits for up to {} s",
            pause.max_wait_secs
        ));
    }
    let is_open = options.allow.is_empty() && options.deny.is_empty();
    if !is_client_known && !is_open {
        notes.push(
            "`allow` or `deny` refuses some clients; check one with `--client ADDRESS`".to_owned(),
        );
    }
    let limits = [
        ("each client", &options.client_rate_limit),
        ("all clients together", &options.rate_limit),
    ];
    for (of, limit) in limits {
        if let Some(RateLimit { requests, per_secs, .. }) = limit {
            notes.push(format!("{of} may make {requests} requests in {per_secs} s"));
        }
    }
    if let Some(bytes) = node.max_body_bytes() {
        notes.push(format!("a body may have up to {bytes} bytes"));
    }
    if options.sticky.is_some() {
        notes.push("a client that comes with its cookie stays with its backend".to_owned());
    }
    notes
}

fn timeouts(
    options: &ProxyOptions,
    request: Option<&RequestHead>,
    own: &DomainTimes,
) -> RequestTimeouts {
    let times = UpstreamTimes::of(own, &options.upstream);
    let is_websocket = request.is_some_and(|request| Kind::of(request) == Kind::WebSocket);
    let (silent_backend, silent_client) = if is_websocket {
        let idle = own.websocket_idle.unwrap_or(options.websocket_idle_timeout);
        (idle, idle)
    } else {
        (times.between_bytes, options.read_timeout)
    };
    RequestTimeouts {
        connect_ms: whole_millis(times.connect),
        first_byte_ms: Some(whole_millis(times.first_byte)),
        read_ms: whole_millis(silent_backend),
        write_ms: whole_millis(times.write),
        client_read_ms: whole_millis(silent_client),
        client_write_ms: whole_millis(options.write_timeout),
        idle_ms: whole_millis(options.upstream.idle_timeout),
    }
}

/// The request as it would arrive. `None` when no parser would accept it.
fn request(question: Question<'_>) -> Option<RequestHead> {
    let Question { url, headers, .. } = question;
    let mut request = RequestHead::new(Method::GET, url.path().as_bytes());
    request.headers.insert(HOST, text_of(url.authority().as_bytes())?);
    for header in headers {
        if *header.name() == http::header::HOST {
            request.headers.insert(HOST, header.value());
        } else {
            request.headers.append(header.name(), header.value());
        }
    }
    has_plain_length(&request).then_some(request)
}

fn refusal(reason: Reason) -> Refusal {
    Refusal {
        status: reason.row().answer.map_or(0, |(status, _)| status.as_u16()),
        reason: reason.to_string(),
    }
}
