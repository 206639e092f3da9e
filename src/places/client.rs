//! The key of a client for counting.

use std::net::{IpAddr, Ipv6Addr};

/// One client, as far as it can be distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(Ipv6Addr);

impl ClientKey {
    /// All clients that can't be distinguished: together they have the share of one.
    pub const UNKNOWN: Self = Self(Ipv6Addr::UNSPECIFIED);

    /// The client at an address.
    pub fn of(client: IpAddr) -> Self {
        Self(client_network(client))
    }

    /// A process at a Unix socket: all processes of a user are one client.
    pub fn of_uid(uid: u32) -> Self {
        // Unused addresses.
        Self(Ipv6Addr::from_bits(1 << 64 | u128::from(uid)))
    }

    /// The shard of a client, of this many.
    pub(super) fn part(self, parts: usize) -> usize {
        let bits = self.0.to_bits();
        let folded = u64::try_from(bits >> 64 ^ bits & u128::from(u64::MAX)).unwrap_or_default();
        let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(mixed).unwrap_or_default() % parts
    }
}

/// The key of a client for counting: its IPv4 address, or its IPv6 /64, because whoever has one
/// address there has them all.
pub fn client_network(client: IpAddr) -> Ipv6Addr {
    match client.to_canonical() {
        IpAddr::V4(client) => client.to_ipv6_mapped(),
        IpAddr::V6(client) => Ipv6Addr::from_bits(client.to_bits() >> 64 << 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let key = |text: &str| ClientKey::of(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_ne!(ClientKey::of_uid(0), ClientKey::UNKNOWN);
        assert_ne!(ClientKey::of_uid(0), ClientKey::of_uid(1));
    }
}
