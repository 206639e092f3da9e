//! Where a request goes: its domain, what the domain's options make of it, and a backend.

use std::sync::Arc;

use http::Method;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::context::RequestContext;
use crate::counters::Metrics;
use crate::model::Reason;
use crate::model::TlsMode;
use crate::proxy::carry::admit::admit;
use crate::proxy::host::auth::{Attempt, Login};
use crate::proxy::host::location::location;
use crate::proxy::host::pause::Wait;
use crate::proxy::host::{HostServices, canonical, paths};
use crate::proxy::options::Https;
use crate::proxy::wire::request::{
    challenge_token, forwarded_proto, has_plain_length, routed_host,
};
use crate::state::Reader;

/// What requests are routed by.
pub(crate) struct Routing {
    pub(crate) reader: Reader,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) https: Option<Arc<Https>>,
    pub(crate) hosts: HostServices,
}

impl Routing {
    /// Routes a request, through whatever it has to wait for on its way.
    pub(crate) async fn pass(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<(), Stop> {
        let mut is_new = true;
        loop {
            match self.route(session.req_header(), ctx, std::mem::take(&mut is_new)).await {
                // Boxed: most requests wait for nothing.
                Err(Stop::Check(attempt)) => {
                    let who = ctx.who();
                    Box::pin(self.hosts.passwords.check(attempt, who)).await?;
                }
                Err(Stop::Wait(wait)) => {
                    // Whoever waits is not in flight: a switch meanwhile has nothing to drain.
                    ctx.waits_for = ctx.pinned.take().map(|pinned| pinned.domain);
                    let turn = wait.until_turn(session, ctx.started, &self.metrics);
                    ctx.turn = Some(Box::pin(turn).await?);
                }
                routed => {
                    ctx.turn = None;
                    return routed;
                }
            }
        }
    }

    /// Finds the domain and a backend for a request, or what is answered without one. `is_new` is whether
    /// it has not been counted against its domain's limits.
    async fn route(
        &self,
        request: &RequestHeader,
        ctx: &mut RequestContext,
        is_new: bool,
    ) -> Result<(), Stop> {
        if request.method == Method::TRACE || request.method == Method::CONNECT {
            return Err(Reason::MethodRefused.into());
        }
        let mut buffer = [0; 256];
        if !has_plain_length(request) {
            return Err(Reason::BadRequest.into());
        }
        let host = routed_host(request, &mut buffer)?;
        let token = challenge_token(request);
        if let (Some(https), Some(token)) = (&self.https, token)
            && let Some(answer) = https.challenges.http01(host, token)
        {
            return Err(Stop::Prove(answer));
        }
        let is_here = host.is_empty()
            || ctx.connection.as_ref().is_none_or(|connection| connection.is_for(host));
        let is_plain = !is_secure(request, ctx);
        let path = request.uri.path();
        // A backend may have left between the pool that was pinned and the choice; then the world has
        // changed, and the request, of which nothing was sent yet, is routed by the new one.
        for round in 0..3 {
            ctx.pinned = Some(self.reader.pin(host, path).ok_or(Reason::UnknownHost)?);
            if !is_here {
                return Err(Reason::Misdirected.into());
            }
            if is_new && round == 0 {
                admit(request, ctx)?;
            }
            let Some(pinned) = &ctx.pinned else { break };
            let domain = &pinned.domain.virtual_host;
            if let Some(https) = &self.https
                && token.is_some()
                && https.acme
                && domain.tls == TlsMode::Auto
            {
                return Err(Reason::UnknownChallenge.into());
            }
            if !domain.options.is_empty() {
                if domain.options.get().maintenance.is_some() && token.is_none() {
                    return Err(Reason::Maintenance.into());
                }
                let https = self.https.as_deref();
                if let Some(to) = canonical::redirected(domain, https, host, !is_plain, request) {
                    return Err(Stop::Redirect(to));
                }
            }
            if let Some(https) = &self.https
                && domain.http_to_https
                && !host.is_empty()
                && is_plain
                && https.certificates.is_trusted(host)
            {
                return Err(Stop::Redirect(location(host, https.port, request)));
            }
            if !domain.options.is_empty() {
                let options = domain.options.get();
                if let Some(auth) = &options.basic_auth {
                    match self.hosts.passwords.look(auth, request) {
                        Login::Passed => {}
                        Login::Missing => return Err(Reason::Unauthorized.into()),
                        Login::Unchecked(attempt) => return Err(Stop::Check(attempt)),
                    }
                }
                ctx.stays_with = options.sticky.as_ref().and_then(|sticky| {
                    self.hosts.sticky.backend_of(request, sticky, &domain.domain)
                });
            }
            if let Some(line) = pinned.domain.pause_line()
                && !ctx.turn.as_ref().is_some_and(|turn| line.has(turn))
            {
                return Err(Stop::Wait(Wait::new(line, ctx.who(), domain)));
            }
            if !paths::is_plain(&pinned.domain, pinned.route, path) {
                return Err(Reason::BadRequest.into());
            }
            // Whoever waited next may go on; for room at a backend there is another line.
            ctx.turn = None;
            if round == 0 {
                ctx.hash_key = ctx.hash_of(request);
            }
            if ctx.choose_or_wait().await? {
                return Ok(());
            }
        }
        Err(Reason::NoBackend.into())
    }
}

/// What is answered without a backend.
pub(crate) enum Stop {
    Refuse(Reason),
    /// To this location.
    Redirect(String),
    /// With what a CA wants to see.
    Prove(Arc<str>),
    /// Not before its password has been checked.
    Check(Attempt),
    /// Not before its domain is resumed.
    Wait(Wait),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refuse(reason)
    }
}

/// Whether the client's own connection is protected: it came over TLS, or a proxy that is believed
/// says that it did there.
pub(crate) fn is_secure(request: &RequestHeader, ctx: &RequestContext) -> bool {
    ctx.client.is_some_and(|client| {
        client.secure || (client.trusted && forwarded_proto(request) == Some("https"))
    })
}
