//! The limits in the order in which they are asked.

use std::sync::atomic::Ordering;

use http::Version;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::context::RequestContext;
use crate::model::Reason;
use crate::model::Scheme;
use crate::places::{Share, Use};
use crate::proxy::limits::body::declared_too_large;
use crate::proxy::limits::{BodyMeter, Connections, RateFields, access, head};
use crate::proxy::wire::request::is_grpc;

/// Keeps a request counted among those of its client at once.
#[derive(Debug)]
pub(crate) enum RequestShare {
    /// Of the client of its connection.
    Own(#[expect(dead_code, reason = "it counts")] Use),
    /// Of one that comes through a proxy.
    Proxied(#[expect(dead_code, reason = "it counts")] Share),
}

/// What is too much about a head. Those that the front read are within their limits; of a pipelined one,
/// which was read by Pingora, and of HTTP/2, nothing is known yet.
pub(crate) fn check_head(session: &Session, ctx: &RequestContext) -> Option<Reason> {
    let bytes = ctx.connection.is_some().then(|| session.to_h1_raw().len());
    let options = &ctx.options;
    head::check(session.req_header(), bytes, options.max_header_bytes, options.limits)
}

/// Counts the request on its connection; says whether that carries no further one.
pub(crate) fn is_last(ctx: &RequestContext) -> bool {
    ctx.connection.as_ref().is_some_and(|connection| {
        let before = connection.requests.fetch_add(1, Ordering::Relaxed);
        before.saturating_add(1) >= ctx.options.connections.requests
    })
}

/// Counts a request among those of its client at once, where its connection may carry more than one: of
/// HTTP/2, or of a proxy.
///
/// # Errors
/// When its client has enough.
pub(crate) fn count_in(
    request: &RequestHeader,
    ctx: &mut RequestContext,
    connections: &Connections,
) -> Result<(), Reason> {
    let (Some(connection), Some(client)) = (&ctx.connection, ctx.client) else { return Ok(()) };
    let limits = ctx.options.connections;
    let share = match &connection.uses {
        Some(_) if request.version != Version::HTTP_2 => return Ok(()),
        Some(uses) => uses.enter(limits.client_requests).map(RequestShare::Own),
        None => {
            // The proxy's own, or those of somebody whom it does not name.
            let Some(origin) = client.origin.filter(|origin| *origin != client.ip) else {
                return Ok(());
            };
            Some(RequestShare::Proxied(connections.proxied(origin, limits)?))
        }
    };
    ctx.share = Some(share.ok_or(Reason::TooManyClientRequests)?);
    Ok(())
}

/// Lets a request in, if its domain serves its client, not too often, and such a body.
///
/// # Errors
/// With the reason why not.
pub(crate) fn admit(request: &RequestHeader, ctx: &mut RequestContext) -> Result<(), Reason> {
    let (Some(pinned), Some(client)) = (&ctx.pinned, ctx.client) else { return Ok(()) };
    let (options, rates) = (pinned.domain.virtual_host.options.get(), pinned.domain.rates());
    let is_open = options.allow.is_empty() && options.deny.is_empty();
    if !is_open || rates.is_some() {
        let is_by_client = !is_open || options.client_rate_limit.is_some();
        let origin = match client.origin {
            Some(origin) => origin,
            None if is_by_client => return Err(Reason::UnknownClient),
            // Counted among all, whoever it is.
            None => client.ip,
        };
        if access::is_denied(options, origin) {
            return Err(Reason::Denied);
        }
        ctx.rate = rates.and_then(|rates| RateFields::take(rates, origin)).map(Box::new);
        if ctx.rate.as_ref().is_some_and(|rate| rate.is_refused()) {
            return Err(Reason::RateLimited);
        }
    }
    if options.max_body_bytes.is_some_and(|most| declared_too_large(request, most)) {
        return Err(Reason::BodyTooLarge);
    }
    Ok(())
}

/// Measures the request's body from now on, where it has one.
pub(crate) fn meter_body(session: &mut Session, ctx: &mut RequestContext) {
    if session.as_mut().is_body_done() {
        return;
    }
    let options = ctx.pinned.as_ref().map(|pinned| pinned.domain.virtual_host.options.get());
    let most = options.and_then(|options| options.max_body_bytes);
    // Anybody can say so; where the backend has no HTTP/2 it is none.
    let has_http2 = ctx.backend().is_some_and(|node| node.backend.scheme != Scheme::Http);
    let is_grpc = has_http2 && is_grpc(session.req_header());
    ctx.body = Some(BodyMeter::new(most, ctx.options.limits, is_grpc));
}
