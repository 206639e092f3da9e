//! Who sends requests, and over which connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use pingora::http::RequestHeader;

use super::forwarded::{Named, Sources, named};
use crate::tls::Certificate;

tokio::task_local! {
    /// The connection of a request on HTTP/2, whose sessions Pingora lets nothing be attached to.
    pub(super) static CONNECTION: Arc<Connection>;
}

/// What is known of a client before its first request, and whether its last one was accepted.
#[derive(Debug)]
pub(super) struct Connection {
    /// The address at its other end.
    pub(super) peer: IpAddr,
    /// Its client's address: the same, or what the PROXY protocol names.
    pub(super) client: IpAddr,
    /// Whether that is known, and not the address of a proxy that can't name its client.
    pub(super) is_known: bool,
    /// Whether its forwarded headers are believed.
    pub(super) trusted: bool,
    /// Requests that it has carried.
    pub(super) requests: AtomicU32,
    /// What was agreed on, if it came over TLS.
    pub(super) tls: Option<Agreed>,
    /// Set once Pingora's parser has accepted the request that was handed over.
    pub(super) accepted: AtomicBool,
    /// Set once it speaks another protocol, which is nothing but bytes.
    pub(super) upgraded: AtomicBool,
}

/// What a TLS handshake came to.
#[derive(Debug, Clone)]
pub(super) struct Agreed {
    /// The name that the client asked for, normalised.
    pub(super) server_name: Option<Box<str>>,
    /// The certificate that it was shown.
    pub(super) certificate: Certificate,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    /// The address at the other end of its connection.
    pub(super) peer: IpAddr,
    /// Whose connection it is.
    pub(super) ip: IpAddr,
    pub(super) trusted: bool,
    pub(super) secure: bool,
    /// Whom the request comes from in the end: `ip`, or, where that is a trusted proxy, whom that one
    /// names. `None` where nobody can say: then neither a list nor a limit can let it pass.
    pub(super) origin: Option<IpAddr>,
    /// Whether the header of the operator's choice names it, and not `X-Forwarded-For`.
    pub(super) by_header: bool,
}

impl Client {
    /// Who sent `request` over `connection`.
    pub(super) fn of(
        connection: &Connection,
        request: &RequestHeader,
        sources: Sources<'_>,
    ) -> Self {
        let Connection { peer, client: ip, is_known, trusted, ref tls, .. } = *connection;
        let own = Named { ip: is_known.then_some(ip), by_header: false };
        let named = if trusted { named(request, ip, sources) } else { own };
        let secure = tls.is_some();
        Self { peer, ip, trusted, secure, origin: named.ip, by_header: named.by_header }
    }
}

impl Connection {
    /// Whether its client may expect the answer for `host`, which is normalised, from who it has
    /// connected to (RFC 9110 §7.4): it asked for this very name, or was shown a certificate for it.
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.tls.as_ref().is_none_or(|agreed| {
            agreed.server_name.as_deref() == Some(host) || agreed.certificate.covers_host(host)
        })
    }
}
