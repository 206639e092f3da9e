//! How many requests a client and a connection may have.

use std::sync::atomic::Ordering;

use super::Connections;
use crate::model::Reason;
use crate::places::{Share, Use};
use crate::proxy::client::connection::{Arrival, Connection};
use crate::proxy::client::sender::Client;
use crate::proxy::options::ConnectionLimits;

/// Keeps a request counted among those of its client at once.
#[derive(Debug)]
pub(crate) enum RequestShare {
    /// Of the client of its connection.
    Own(#[expect(dead_code, reason = "it counts")] Use),
    /// Of one that comes through a proxy.
    Proxied(#[expect(dead_code, reason = "it counts")] Share),
}

impl RequestShare {
    /// Counts a request, where its connection may carry more than one: of HTTP/2, or of a proxy.
    ///
    /// # Errors
    /// When its client has enough.
    pub(crate) fn enter(
        arrival: &Arrival,
        client: Client,
        connections: &Connections,
        limits: ConnectionLimits,
    ) -> Result<Option<Self>, Reason> {
        let share = match &arrival.connection.uses {
            Some(_) if !arrival.wire.is_http2() => return Ok(None),
            Some(uses) => uses.enter(limits.client_requests).map(Self::Own),
            None => {
                // The proxy's own, or those of somebody whom it does not name.
                let Some(origin) = client.origin.filter(|origin| *origin != client.ip) else {
                    return Ok(None);
                };
                Some(Self::Proxied(connections.proxied(origin, limits)?))
            }
        };
        share.map(Some).ok_or(Reason::TooManyClientRequests)
    }
}

/// Counts the request on its connection; whether that carries no further one.
pub(crate) fn is_last(connection: &Connection, limits: ConnectionLimits) -> bool {
    let before = connection.requests.fetch_add(1, Ordering::Relaxed);
    before.saturating_add(1) >= limits.requests
}
