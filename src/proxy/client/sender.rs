//! Who sent a request.

use std::net::IpAddr;

use super::connection::Connection;
use super::forwarded::{Sources, named};
use crate::heads::RequestHead;

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// The address at the other end of its connection.
    pub(crate) peer: IpAddr,
    /// Whose connection it is.
    pub(crate) ip: IpAddr,
    pub(crate) trusted: bool,
    pub(crate) secure: bool,
    /// Whom the request comes from in the end: `ip`, or, where that is a trusted proxy, whom that one
    /// names. `None` where nobody can say: then neither a list nor a limit can let it pass.
    pub(crate) origin: Option<IpAddr>,
    /// Whether the header of the operator's choice names it, and not `X-Forwarded-For`.
    pub(crate) by_header: bool,
}

impl Client {
    /// Who sent `request` over `connection`.
    pub(crate) fn of(connection: &Connection, request: &RequestHead, sources: Sources<'_>) -> Self {
        let Connection { peer, client: ip, is_known, trusted, ref tls, .. } = *connection;
        let secure = tls.is_some();
        let origin = is_known.then_some(ip);
        Self { peer, ip, trusted, secure, origin, by_header: false }.named_in(request, sources)
    }

    /// Who would send `request` from `ip`, over TLS where that is `secure`.
    pub(crate) fn at(
        ip: IpAddr,
        secure: bool,
        request: &RequestHead,
        sources: Sources<'_>,
    ) -> Self {
        let trusted = sources.trusted.iter().any(|network| network.contains(&ip));
        let client = Self { peer: ip, ip, trusted, secure, origin: Some(ip), by_header: false };
        client.named_in(request, sources)
    }

    /// Whom a trusted proxy names.
    fn named_in(self, request: &RequestHead, sources: Sources<'_>) -> Self {
        if !self.trusted {
            return self;
        }
        let named = named(request, self.ip, sources);
        Self { origin: named.ip, by_header: named.by_header, ..self }
    }
}
