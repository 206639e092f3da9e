//! How a request goes to its backend: over which connection, and with which head.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::claims::forward;
use super::headers::{RequestId, set_te, to_origin_form};
use super::hop::Hop;
use super::shared::Shared;
use super::stages::RequestContext;
use crate::heads::names::{
    CONNECTION, UPGRADE, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REQUEST_ID, X_VHOST_TAG,
};
use crate::heads::{RequestHead, Scheme, Set};
use crate::model::ProxyHeader;
use crate::proxy::client::downstream::Downstream;
use crate::proxy::client::forwarded::Sources;
use crate::proxy::decision::Kind;
use crate::proxy::host::{headers, paths};
use crate::proxy::memory::{Held, gated};
use crate::proxy::wire::request::{forwarded_proto, original_host, usable_request_id};
use crate::upstream;

/// How a connection with the chosen backend is made.
pub(super) fn peer(
    session: &mut impl Downstream,
    ctx: &mut RequestContext,
) -> Result<Box<HttpPeer>> {
    let target = ctx.begin_try()?;
    let node = &target.node;
    let mut peer = upstream::peer(node, &node.live.endpoints(), target.pick)?;
    let mut silent = target.first_byte_timeout;
    if target.is_websocket {
        (silent, _) = ctx.tunnel_timeouts();
        let connection = Arc::clone(&ctx.arrival.connection);
        let has_agreed = move || connection.upgraded.load(Ordering::Relaxed);
        upstream::for_upgrade(&mut peer, target.first_byte_timeout, Arc::new(has_agreed));
    }
    if upstream::speaks_only_http1(&peer, node) {
        gated(&mut peer);
    } else if !session.is_body_read() {
        upstream::for_duplex(&mut peer);
    }
    upstream::announce(&mut peer, node.backend.options.send_proxy_protocol, || session.ends());
    peer.options.connection_timeout = Some(target.connect_timeout);
    peer.options.total_connection_timeout = Some(target.connect_timeout);
    peer.options.read_timeout = Some(silent);
    peer.options.write_timeout = Some(target.write_timeout);
    peer.options.idle_timeout = Some(target.idle_timeout);
    let is_replayed = ctx.sent().is_some_and(|sent| sent.replayed);
    if is_replayed {
        // A key that no kept connection has: the replay goes over a fresh one.
        peer.group_key ^= fastrand::u64(1..);
    }
    if is_replayed || target.is_websocket {
        // Nobody finds it again: kept, it would only take a place at the backend.
        peer.options.idle_timeout = Some(Duration::from_millis(1));
    }
    Ok(Box::new(peer))
}

/// Takes the next piece of a request's body.
///
/// # Errors
/// When no more of it should follow.
pub(super) fn take_body(
    body: &mut Option<Bytes>,
    is_end: bool,
    ctx: &mut RequestContext,
) -> Result<()> {
    ctx.measure_body(body.as_ref().map_or(0, Bytes::len), is_end)?;
    // An empty last chunk would be written as a chunk *and* end the body (pingora#935): a second
    // terminator, which the backend reads as the start of the next request.
    if is_end && body.as_ref().is_some_and(Bytes::is_empty) {
        *body = None;
    }
    if let Some(bytes) = body.as_mut() {
        *bytes = Held::upload(std::mem::take(bytes), &ctx.arrival.connection.budget);
    }
    Ok(())
}

impl RequestContext {
    /// Measures the next piece of the request's body.
    ///
    /// # Errors
    /// When no more of it should follow.
    pub(crate) fn measure_body(&mut self, piece: usize, is_end: bool) -> Result<()> {
        if let Some(sent) = self.sent_mut()
            && let Some(meter) = &mut sent.body
            && let Some(reason) = meter.take(piece, is_end)
        {
            sent.cut_off = Some(reason);
            let error = ErrorType::CustomCode("BodyRefused", 413);
            return Err(Error::explain(error, reason.as_str()).into_down());
        }
        Ok(())
    }
}

impl Shared {
    /// Makes of the head that came the one that the backend gets.
    pub(crate) fn edit_request(
        &self,
        session: &impl Downstream,
        request: &mut RequestHead,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let is_websocket = ctx.kind() == Kind::WebSocket;
        if request.version == Version::HTTP_11
            && let Some(node) = ctx.backend()
            && !is_websocket
        {
            upstream::check_http1(node.backend.options.scheme)?;
            node.live.note_only_http1();
        }
        if !is_websocket {
            request.headers.remove_any(const { Set::of(&[UPGRADE, CONNECTION]) });
        }
        let came = session.request();
        to_origin_form(request);
        self.via.add(request, came.version);
        set_te(request, came);
        let mut is_https = false;
        if let Some(client) = ctx.client() {
            let options = &ctx.options;
            let sources = Sources {
                trusted: &options.trusted_proxies,
                header: options.client_ip_header.as_ref(),
            };
            let sent = options.forwarded_headers;
            let port = || *ctx.arrival.connection.port.get_or_init(|| port_of(session));
            let port = sent.has(X_FORWARDED_PORT).then(port).flatten();
            forward(request, &Hop { client, sources, host: original_host(came), port }, sent);
            is_https = if client.trusted && came.headers.has(X_FORWARDED_PROTO) {
                forwarded_proto(came) == Some("https")
            } else {
                client.secure
            };
        }
        // Not what the client says of itself: an application takes it for how it was reached.
        request.set_scheme(if is_https { Scheme::Https } else { Scheme::Http });
        set_request_id(request, &mut ctx.request_id);
        // What strangers say of their tag, backends must not take for what the proxy says.
        request.headers.remove(X_VHOST_TAG);
        if let Some(pinned) = ctx.pinned()
            && pinned.domain.has_choice()
            && pinned.domain.virtual_host.options.get().split.sends_tag()
        {
            request.headers.insert(X_VHOST_TAG, pinned.tag().tag().as_str());
        }
        if let Some(pinned) = ctx.pinned()
            && let Some(options) = self.host(ctx).options()
        {
            if let Some(route) = pinned.way.route() {
                paths::strip(pinned.domain.option_of(route), request);
            }
            let source =
                headers::VariableSource { variables: &*ctx, came: headers::Came::of(session) };
            headers::edit_request(&options.request_headers, request, source);
        }
        Ok(())
    }
}

/// The port that the client has connected to.
fn port_of(session: &impl Downstream) -> Option<u16> {
    match session.ends() {
        ProxyHeader::Proxied { server, .. } => Some(server.port()),
        ProxyHeader::Local | ProxyHeader::Unnamed => None,
    }
}

/// One id and no other: the one that is logged.
fn set_request_id(request: &mut RequestHead, own: &mut Option<RequestId>) {
    let Some(id) = usable_request_id(request) else {
        let id = own.get_or_insert_with(RequestId::random);
        return request.headers.insert(X_REQUEST_ID, id.as_str());
    };
    if request.headers.all(X_REQUEST_ID).nth(1).is_some() {
        let id = id.to_owned();
        request.headers.insert(X_REQUEST_ID, id);
    }
}
