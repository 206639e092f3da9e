//! How many connections there may be, in all and of each client, and how much of all that one client may
//! use at once.

use std::net::IpAddr;

use crate::model::Reason;
use crate::places::{ClientKey, Place, Places, Share, Shares};
use crate::proxy::options::ConnectionLimits;

/// What is left to others of all connections by a proxy that is trusted and stands for many clients: one
/// part of so many.
const LEFT_BY_PROXIES: usize = 8;

/// The open connections, and what is done on them, by client. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections {
    open: Shares,
    /// Those on which nothing that costs was said yet: no head, no hello.
    silent: Places,
    /// Handshakes, from the client's hello on.
    shaking: Places,
    /// Requests that came through proxies, by whom those name: one of their connections carries those
    /// of many, and one client may have as many of their connections as it likes.
    proxied: Shares,
}

impl Connections {
    /// Counts a connection in among those of its client. One that stands for many may have more.
    ///
    /// # Errors
    /// When it has enough.
    pub(crate) fn enter(
        &self,
        client: IpAddr,
        is_many: bool,
        limits: ConnectionLimits,
    ) -> Result<Share, Reason> {
        let most = if is_many { limits.of_proxy() } else { limits.of_client() };
        self.open.enter(ClientKey::of(client), most).ok_or(Reason::TooManyClientConnections)
    }

    /// The place of a connection on which nothing was said yet. When there are too many, the oldest goes
    /// of whoever has the most.
    pub(crate) fn silent(&self, client: IpAddr, limits: ConnectionLimits) -> Place {
        self.silent.enter(ClientKey::of(client), limits.silent)
    }

    /// Closes a silent connection to make room for another; `false` when there is none.
    pub(crate) fn close_silent(&self) -> bool {
        self.silent.displace()
    }

    /// The place of a handshake, of which there may be `most`.
    pub(crate) fn shaking(&self, client: IpAddr, most: usize) -> Place {
        self.shaking.enter(ClientKey::of(client), most)
    }

    /// Counts a request among those of a client that comes through a proxy.
    ///
    /// # Errors
    /// When that has enough at once.
    pub(crate) fn proxied(
        &self,
        client: IpAddr,
        limits: ConnectionLimits,
    ) -> Result<Share, Reason> {
        let share = self.proxied.enter(ClientKey::of(client), limits.client_requests);
        share.ok_or(Reason::TooManyClientRequests)
    }
}

impl ConnectionLimits {
    /// How many connections one client may have: never all of them.
    fn of_client(self) -> u32 {
        let share = u32::try_from(crate::places::share_of(self.in_all)).unwrap_or(u32::MAX);
        self.per_client.min(share)
    }

    /// How many one trusted proxy may have.
    fn of_proxy(self) -> u32 {
        let most = self.in_all - self.in_all / LEFT_BY_PROXIES;
        u32::try_from(most).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        in_all: 100,
        per_client: 2,
        silent: 10,
        client_requests: 2,
        requests: 1,
        h2_streams: 1,
        h2_control_frames_per_sec: 10,
    };

    #[test]
    fn neither_a_client_nor_a_proxy_may_have_all() {
        let address = "192.0.2.1".parse().unwrap();
        let fill = |is_many: bool, limits| {
            let connections = Connections::default();
            let all: Vec<_> =
                std::iter::from_fn(|| connections.enter(address, is_many, limits).ok()).collect();
            let reason = connections.enter(address, is_many, limits).err();
            assert_eq!(reason, Some(Reason::TooManyClientConnections));
            all.len()
        };
        assert_eq!(fill(false, LIMITS), 2);
        assert_eq!(fill(false, ConnectionLimits { per_client: 1000, ..LIMITS }), 50);
        assert_eq!(fill(true, LIMITS), 88);
        assert_eq!(fill(false, ConnectionLimits { in_all: 1, ..LIMITS }), 1);
    }

    #[test]
    fn requests_are_counted_by_who_sends_them() {
        let connections = Connections::default();
        let request = |client: &str| connections.proxied(client.parse().unwrap(), LIMITS);
        let held = [request("192.0.2.1"), request("192.0.2.1"), request("192.0.2.2")];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(request("192.0.2.1").err(), Some(Reason::TooManyClientRequests));
        drop(held);
        request("192.0.2.1").unwrap();
    }
}
