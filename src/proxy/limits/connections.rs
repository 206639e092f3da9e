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
    /// Counts a connection in among those of its client.
    ///
    /// # Errors
    /// When it has enough.
    pub(in crate::proxy) fn enter(
        &self,
        client: IpAddr,
        limits: ConnectionLimits,
    ) -> Result<Counted, Reason> {
        let client = client_network(client);
        let mut count = self.0.entry(client).or_insert(0);
        if *count >= limits.per_client {
            return Err(Reason::TooManyClientConnections);
        }
        *count += 1;
        drop(count);
        Ok(Counted { among: self.clone(), client })
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
        let enter = |client: &str| connections.enter(client.parse().unwrap(), limits);
        let one = enter("2001:db8::1").unwrap();
        let two = enter("2001:db8::2").unwrap();
        let refused = enter("2001:db8::3").err();
        assert_eq!(refused, Some(Reason::TooManyClientConnections), "the same /64");
        drop(enter("2001:db8:0:1::1").unwrap());
        drop(one);
        drop(enter("2001:db8::3").unwrap());
        drop(two);
        assert!(connections.0.is_empty());
    }
}
