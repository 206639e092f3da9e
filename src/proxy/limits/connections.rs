//! How many connections there may be, in all and of each client.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::ConnectionLimits;
use crate::metrics::Reason;
use crate::state::client_network;

/// The open connections by client. As large as there are clients, for a client without any is not in
/// it.
#[derive(Debug, Clone, Default)]
pub(in crate::proxy) struct Connections(Arc<DashMap<Ipv6Addr, u32>>);

/// Keeps one connection counted.
#[derive(Debug)]
pub(in crate::proxy) struct Counted {
    among: Connections,
    client: Ipv6Addr,
}

impl Connections {
    /// Counts a connection in. `open` is how many there are with it; `is_trusted` is whether it stands
    /// for many clients.
    ///
    /// # Errors
    /// When there are enough.
    pub(in crate::proxy) fn enter(
        &self,
        client: IpAddr,
        open: usize,
        is_trusted: bool,
        limits: ConnectionLimits,
    ) -> Result<Option<Counted>, Reason> {
        if open > limits.in_all {
            return Err(Reason::TooManyConnections);
        }
        if is_trusted {
            return Ok(None);
        }
        let client = client_network(client);
        let mut count = self.0.entry(client).or_insert(0);
        if *count >= limits.per_client {
            return Err(Reason::TooManyClientConnections);
        }
        *count += 1;
        drop(count);
        Ok(Some(Counted { among: self.clone(), client }))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.among.0.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_share_and_none_is_remembered() {
        let limits = ConnectionLimits {
            in_all: 10,
            per_client: 2,
            requests: 1,
            h2_streams: 1,
            h2_control_frames_per_sec: 10,
        };
        let connections = Connections::default();
        let enter = |client: &str, open, trusted| {
            connections.enter(client.parse().unwrap(), open, trusted, limits)
        };
        let one = enter("2001:db8::1", 1, false).unwrap();
        let two = enter("2001:db8::2", 2, false).unwrap();
        let refused = enter("2001:db8::3", 3, false).err();
        assert_eq!(refused, Some(Reason::TooManyClientConnections), "the same /64");
        assert!(enter("2001:db8::3", 3, true).is_ok(), "it stands for many");
        assert_eq!(enter("192.0.2.1", 11, false).err(), Some(Reason::TooManyConnections));
        drop(one);
        drop(enter("2001:db8::3", 3, false).unwrap());
        drop(two);
        assert!(connections.0.is_empty());
    }
}
