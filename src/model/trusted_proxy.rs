//! Whose word on clients is believed: networks, and lists of networks that have a name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::ParseError;

/// A list of networks that has a name.
#[derive(Debug, PartialEq, Eq)]
pub struct NetworkList {
    /// What the file calls it.
    pub name: &'static str,
    /// Who publishes it, and since when it has been so: a list that a company publishes grows old.
    pub origin: &'static str,
    networks: &'static [&'static str],
}

/// The lists. A further one is one more entry here.
pub const NETWORK_LISTS: [NetworkList; 5] = [
    NetworkList {
        name: "private",
        origin: "RFC 1918 and RFC 4193",
        networks: &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
    },
    NetworkList { name: "loopback", origin: "RFC 6890", networks: &["127.0.0.0/8", "::1/128"] },
    NetworkList {
        name: "link-local",
        origin: "RFC 3927 and RFC 4291",
        networks: &["169.254.0.0/16", "fe80::/10"],
    },
    NetworkList {
        name: "cloudflare",
        origin: "https://www.cloudflare.com/ips/ of 2023-09-28",
        networks: &[
            "103.21.244.0/22",
            "103.22.200.0/22",
            "103.31.4.0/22",
            "104.16.0.0/13",
            "104.24.0.0/14",
            "108.162.192.0/18",
            "131.0.72.0/22",
            "141.101.64.0/18",
            "162.158.0.0/15",
            "172.64.0.0/13",
            "173.245.48.0/20",
            "188.114.96.0/20",
            "190.93.240.0/20",
            "197.234.240.0/22",
            "198.41.128.0/17",
            "2400:cb00::/32",
            "2606:4700::/32",
            "2803:f800::/32",
            "2405:b500::/32",
            "2405:8100::/32",
            "2a06:98c0::/29",
            "2c0f:f248::/32",
        ],
    },
    NetworkList {
        name: "fastly",
        origin: "https://api.fastly.com/public-ip-list of 2026-04",
        networks: &[
            "23.235.32.0/20",
            "43.249.72.0/22",
            "103.244.50.0/24",
            "103.245.222.0/23",
            "103.245.224.0/24",
            "104.156.80.0/20",
            "140.248.64.0/18",
            "140.248.128.0/17",
            "146.75.0.0/17",
            "151.101.0.0/16",
            "157.52.64.0/18",
            "167.82.0.0/17",
            "167.82.128.0/20",
            "167.82.160.0/20",
            "167.82.224.0/20",
            "172.111.64.0/18",
            "185.31.16.0/22",
            "199.27.72.0/21",
            "199.232.0.0/16",
            "2a04:4e40::/32",
            "2a04:4e42::/32",
        ],
    },
];

/// An entry of `trusted_proxies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustedProxy {
    /// A network; a single address is one that holds nothing else.
    Network(IpNet),
    /// A list of networks.
    List(&'static NetworkList),
}

impl TrustedProxy {
    /// The networks that it stands for.
    pub fn networks(&self) -> Vec<IpNet> {
        match self {
            Self::Network(network) => vec![*network],
            // That each of them is one is tested.
            Self::List(list) => list.networks.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(list) = NETWORK_LISTS.iter().find(|list| list.name == text) {
            return Ok(Self::List(list));
        }
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address());
        network.map(|network| Self::Network(network.trunc())).map_err(|_| {
            let names: Vec<_> =
                NETWORK_LISTS.iter().map(|list| format!("`{}`", list.name)).collect();
            let names = names.join(", ");
            let reason = format!(
                "write an address or a network: `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`; or the name \
                 of a list: {names}"
            );
            ParseError::new("network", text, reason)
        })
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::List(list) => f.pad(list.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_is_whole_and_has_a_name_of_its_own() {
        for list in &NETWORK_LISTS {
            let proxy: TrustedProxy = list.name.parse().unwrap();
            let networks = proxy.networks();
            assert_eq!(networks.len(), list.networks.len(), "{}", list.name);
            let is_plain = networks.iter().all(|network| *network == network.trunc());
            assert!(is_plain && !list.origin.is_empty(), "{}", list.name);
            assert_eq!(proxy.to_string(), list.name);
        }
    }

    #[test]
    fn an_entry_is_an_address_a_network_or_a_name() {
        let read = |text: &str| text.parse::<TrustedProxy>();
        assert_eq!(read("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(read("::1").unwrap().networks(), ["::1/128".parse::<IpNet>().unwrap()]);
        for wrong in ["", "Cloudflare", "10.0.0/8", "10.0.0.0/33", "example.com"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("10.0.0.0/8") && error.contains("`cloudflare`"), "{error}");
        }
    }
}
