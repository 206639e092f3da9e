//! A request comes: it is looked at, counted, put right, decided about, and answered where no backend does.

use std::net::IpAddr;

use pingora::Result;

use super::asked::Asked;
use super::failure::respond;
use super::intake::put_right;
use super::redirect::{pin, prove, redirect};
use super::sent::Sent;
use super::shared::Shared;
use super::stages::{RequestContext, Seen, Stage};
use crate::heads::RequestHead;
use crate::model::{Reason, Scheme, Size};
use crate::places::PlaceInLine;
use crate::proxy::client::connection::Arrival;
use crate::proxy::client::downstream::Downstream;
use crate::proxy::client::forwarded::Sources;
use crate::proxy::client::sender::Client;
use crate::proxy::decision::{
    Answer, Facts, Forward, Kind, Progress, Site, Step, Verdict, World, decide, is_secure, way_of,
};
use crate::proxy::host::auth::Attempt;
use crate::proxy::host::pause::Wait;
use crate::proxy::limits::{BodyMeter, RateFields, RequestShare, check_head, is_last};
use crate::state::DomainNode;

/// How often a request is routed: a backend may have left between the pool that was pinned and the
/// choice. Then the state has changed, and the request, of which nothing was sent yet, is routed by the
/// new one.
const MAX_ROUNDS: usize = 3;

/// What a request waits for.
enum Pending {
    Check(Attempt),
    Wait(Wait),
}

impl Shared {
    /// The context of a request whose head can be understood.
    pub(crate) fn begin(&self, arrival: Arrival) -> RequestContext {
        // A connection of HTTP/1 has been busy since the first byte of its head.
        let busy = arrival.wire.is_http2().then(|| self.metrics.busy.enter());
        RequestContext::new(self.options.load_full(), arrival, busy)
    }

    /// Decides about a request. Answers with whether it was answered already.
    pub(crate) async fn take_in(
        &self,
        session: &mut impl Downstream,
        ctx: &mut RequestContext,
    ) -> Result<bool> {
        look(session, ctx);
        let decided = if let Err(reason) = self.admit(session, ctx) {
            Err(reason.into())
        } else {
            self.put_right(session, ctx);
            self.route(session, ctx).await
        };
        if decided.is_err() {
            ctx.name_for_answer();
        }
        match decided {
            Ok(()) => meter_body(session, ctx),
            Err(Answer::Refuse(reason)) => {
                let rate = ctx.rate.as_deref();
                ctx.failure = Some(respond(session, reason, self.host(ctx), rate).await?);
            }
            Err(Answer::Redirect(to)) => redirect(session, to, self.host(ctx)).await?,
            Err(Answer::Pin(pinned)) => pin(session, pinned, self.host(ctx)).await?,
            Err(Answer::Challenge(answer)) => prove(session, &answer).await?,
        }
        Ok(ctx.sent().is_none())
    }

    /// Whether its head is within its limits and runs in no loop, and its client has not too many.
    fn admit(&self, session: &mut impl Downstream, ctx: &mut RequestContext) -> Result<(), Reason> {
        let (request, options) = (session.request(), &ctx.options);
        let (wire, max_bytes) = (ctx.arrival.wire, options.max_header_bytes);
        if let Some(reason) = check_head(request, wire, max_bytes, options.limits) {
            // A client that ignores limits is not waited for again.
            session.close_after();
            return Err(reason);
        }
        if self.via.is_loop(request) {
            return Err(Reason::LoopDetected);
        }
        if let Some(seen) = &mut ctx.seen {
            let limits = options.connections;
            seen.share = RequestShare::enter(&ctx.arrival, seen.client, &self.connections, limits)?;
        }
        Ok(())
    }

    /// Puts a request right, and counts what it loses.
    fn put_right(&self, session: &mut impl Downstream, ctx: &RequestContext) {
        let options = &ctx.options;
        let (underscores, named_by) =
            (options.underscores_in_headers, options.client_ip_header.as_ref());
        let dropped = put_right(session.request_mut(), underscores, named_by);
        if dropped > 0 {
            self.metrics.count_dropped_fields(dropped);
        }
    }

    /// Routes a request, through whatever it has to wait for on its way, to a backend.
    async fn route(
        &self,
        session: &mut impl Downstream,
        ctx: &mut RequestContext,
    ) -> Result<(), Answer> {
        let (mut turn, mut is_counted) = (None, false);
        while let Some(pending) =
            self.follow(session.request(), ctx, &mut turn, &mut is_counted).await?
        {
            let who = ctx.who();
            // Boxed: most requests wait for nothing.
            match pending {
                Pending::Check(attempt) => {
                    Box::pin(self.hosts.passwords.check(attempt, who)).await?;
                    ctx.stage = Stage::Arrived;
                }
                Pending::Wait(wait) => {
                    if let Some(domain) = ctx.domain_node().cloned() {
                        ctx.stage = Stage::Waiting(domain);
                    }
                    let waiting = wait.until_turn(session, who, ctx.started, &self.metrics);
                    turn = Some(Box::pin(waiting).await?);
                }
            }
        }
        Ok(())
    }

    /// Does what is decided about a request, until it has a backend or waits.
    async fn follow(
        &self,
        request: &RequestHead,
        ctx: &mut RequestContext,
        turn: &mut Option<PlaceInLine>,
        is_counted: &mut bool,
    ) -> Result<Option<Pending>, Answer> {
        let mut buffer = [0; 256];
        let secure = ctx.seen.as_ref().is_some_and(|seen| seen.is_secure);
        let is_for = |host: &str| ctx.arrival.connection.is_for(host);
        let facts = Facts::of(request, &mut buffer, ctx.client(), secure, is_for);
        let world = World { https: self.https.as_deref(), hosts: &self.hosts };
        let mut rounds = 0;
        loop {
            let site = ctx.pinned().map(|pinned| Site { domain: &pinned.domain, way: pinned.way });
            let progress = Progress {
                site,
                is_counted: *is_counted,
                turn: turn.as_ref(),
                ..Progress::default()
            };
            match decide(&facts, world, progress) {
                Verdict::Answer(answer) => return Err(answer),
                Verdict::First(Step::Route(host)) => {
                    let way = |domain: &DomainNode| {
                        way_of(domain, &facts, &self.hosts, &mut ctx.newcomer)
                    };
                    let pinned = self.reader.pin(host, way).ok_or(Reason::UnknownHost)?;
                    ctx.stage = Stage::Routed(pinned);
                }
                Verdict::First(Step::Count(client)) => {
                    *is_counted = true;
                    ctx.count(client)?;
                }
                Verdict::First(Step::CheckPassword(attempt)) => {
                    return Ok(Some(Pending::Check(attempt)));
                }
                Verdict::First(Step::Wait(wait)) => return Ok(Some(Pending::Wait(wait))),
                Verdict::Forward(forward) => {
                    // Whoever waited next may go on; for room at a backend there is another line.
                    *turn = None;
                    rounds += 1;
                    if ctx.choose(forward).await? {
                        if ctx.is_netted() {
                            self.metrics.count_netted();
                        }
                        return Ok(None);
                    }
                    if rounds == MAX_ROUNDS {
                        return Err(Reason::NoBackend.into());
                    }
                    ctx.stage = Stage::Arrived;
                }
            }
        }
    }
}

impl RequestContext {
    /// Counts it against its domain's rate limits.
    fn count(&mut self, client: IpAddr) -> Result<(), Reason> {
        let rates = self.pinned().and_then(|pinned| pinned.domain.rates());
        let fields = rates.and_then(|rates| RateFields::take(rates, client));
        let is_refused = fields.as_ref().is_some_and(RateFields::is_refused);
        self.rate = fields.map(Box::new);
        if is_refused { Err(Reason::RateLimited) } else { Ok(()) }
    }

    /// Chooses a backend, or waits for room at one; false where none can take it.
    async fn choose(&mut self, forward: Forward) -> Result<bool, Reason> {
        let Some(pinned) = self.pinned() else { return Ok(false) };
        let upstream = &self.options.upstream;
        let may_fall = self.kind() != Kind::WebSocket;
        let sent = Sent::choose(pinned, forward, upstream, may_fall, || self.who()).await?;
        let is_chosen = sent.is_some();
        if let Some(sent) = sent {
            self.stage.send(sent);
        }
        Ok(is_chosen)
    }
}

/// Takes a request over that was decided about already: its head was read once more.
pub(super) fn take_over(session: &mut impl Downstream, ctx: &RequestContext) {
    let options = &ctx.options;
    session.set_timeouts(options.read_timeout, options.write_timeout);
    if ctx.is_last() {
        session.close_after();
    }
    let named_by = options.client_ip_header.as_ref();
    put_right(session.request_mut(), options.underscores_in_headers, named_by);
}

/// Notes what the head says, and how long its client may take.
fn look(session: &mut impl Downstream, ctx: &mut RequestContext) {
    let (request, options) = (session.request(), &ctx.options);
    let sources =
        Sources { trusted: &options.trusted_proxies, header: options.client_ip_header.as_ref() };
    let connection = &ctx.arrival.connection;
    let client = Client::of(connection, request, sources);
    ctx.seen = Some(Seen {
        client,
        kind: Kind::of(request),
        is_secure: is_secure(request, client),
        is_last: is_last(connection, options.connections),
        share: None,
    });
    if let Some(log) = &*ctx.options.access_log.active() {
        ctx.asked = Some(Asked::of(session, log.request_headers()));
        if !log.response_headers().is_empty() {
            session.keep_headers(log.response_headers());
        }
    }
    session.set_timeouts(ctx.options.read_timeout, ctx.options.write_timeout);
    if ctx.is_last() {
        session.close_after();
    }
}

/// Measures the request's body from now on, where it has one.
fn meter_body(session: &mut impl Downstream, ctx: &mut RequestContext) {
    if session.is_body_read() {
        return;
    }
    let most = ctx.domain_node().and_then(|domain| domain.max_body_bytes()).map(Size::get);
    // Anybody can say so; where the backend has no HTTP/2 it is none.
    let has_http2 = ctx.backend().is_some_and(|node| node.backend.options.scheme != Scheme::Http);
    let is_grpc = has_http2 && ctx.kind() == Kind::Grpc;
    let meter = BodyMeter::new(most, ctx.options.limits, is_grpc);
    if let Some(sent) = ctx.sent_mut() {
        sent.body = Some(meter);
    }
}
