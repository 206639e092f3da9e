//! Which names no public CA signs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{DomainName, Pattern};

/// Suffixes that are never in the public DNS: reserved (RFC 2606, RFC 6761, RFC 6762, RFC 7686, RFC 8375,
/// RFC 9476, and ICANN for `internal`), or private by use.
const PRIVATE: [&str; 12] = [
    "alt",
    "corp",
    "example",
    "home",
    "home.arpa",
    "internal",
    "invalid",
    "lan",
    "local",
    "localhost",
    "onion",
    "test",
];

impl DomainName {
    /// What about the name keeps every public CA from signing it; nothing where one might.
    pub fn never_public(&self) -> Option<String> {
        let (Pattern::Exact(base) | Pattern::Wildcard(base)) = self.pattern() else {
            return Some("`*`".to_owned());
        };
        let unbracketed = base.trim_start_matches('[').trim_end_matches(']');
        let v4 = unbracketed.parse::<Ipv4Addr>().map(IpAddr::from);
        if let Ok(address) = v4.or_else(|_| unbracketed.parse::<Ipv6Addr>().map(IpAddr::from)) {
            return is_private(address).then(|| format!("the private address `{address}`"));
        }
        if !base.contains('.') {
            return Some(format!("a name of one label, such as `{base}`"));
        }
        if base.contains('_') {
            return Some(format!("a name with `_`, such as `{base}`"));
        }
        let is_below = |suffix: &&&str| {
            base.strip_suffix(**suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        PRIVATE.iter().find(is_below).map(|suffix| format!("names below `{suffix}`"))
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_documentation()
                || ip.is_multicast()
                || ip.is_broadcast()
                || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_multicast()
                || ip.segments()[..2] == [0x2001, 0xdb8]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_public_ca_would_sign_are_known() {
        for (name, public) in [
            ("example.com", true),
            ("*.example.com", true),
            ("a.test", false),
            ("test", false),
            ("contest.com", true),
            ("shop.internal", false),
            ("printer", false),
            ("router.home.arpa", false),
            ("10.0.0.1", false),
            ("93.184.216.34", true),
            ("100.64.0.1", false),
            ("a_b.example.com", false),
            ("shop.corp", false),
            ("[::1]", false),
            ("[fd00::1]", false),
            ("[2606:2800:220:1::1]", true),
        ] {
            assert_eq!(
                name.parse::<DomainName>().unwrap().never_public().is_none(),
                public,
                "{name}"
            );
        }
    }
}
