//! Which clients are served, and how many of their requests.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ParseError, WholeSeconds, serde_as_text};

/// A network of addresses, such as `10.0.0.0/8`; a single address is the network of nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// The network.
    pub fn get(self) -> IpNet {
        self.0
    }
}

impl FromStr for Network {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address());
        network.map(|network| Self(unmapped(network.trunc()))).map_err(|_| {
            let reason = "write an address or a network: `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`";
            ParseError::new("network", text, reason)
        })
    }
}

/// A network of IPv4 for one that is written as IPv6 (`::ffff:10.0.0.0/104`, RFC 4291 §2.5.5.2): clients are
/// compared by their IPv4 address.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(96);
    let address = mapped.addr().to_ipv4_mapped();
    let own = prefix.zip(address).and_then(|(prefix, ip)| Ipv4Net::new(ip, prefix).ok());
    own.map_or(network, IpNet::V4)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

serde_as_text!(Network, "An address, or a network such as `10.0.0.0/8` or `fd00::/8`.");

/// A rate of requests: a token bucket that is filled evenly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The number of requests in each period.
    pub requests: NonZeroU32,
    /// The period, in seconds. The default is 1.
    #[serde(default = "one_second", skip_serializing_if = "is_one_second")]
    pub per_secs: WholeSeconds<1>,
    /// The maximum number of requests at once after a quiet time. The default is `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

fn one_second() -> WholeSeconds<1> {
    WholeSeconds::MIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_one_second(time: &WholeSeconds<1>) -> bool {
    *time == WholeSeconds::MIN
}
