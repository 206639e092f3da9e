//! Who is served, and how often.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ParseError, serde_as_text};

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
        network.map(|network| Self(network.trunc())).map_err(|_| {
            let reason = "write an address or a network: `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`";
            ParseError::new("network", text, reason)
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

serde_as_text!(Network, "An address, or a network such as `10.0.0.0/8` or `fd00::/8`.");

/// How many requests are taken: a bucket of tokens that fills up evenly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests in each period.
    pub requests: NonZeroU32,
    /// The period, in seconds; 1 when not given.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub per_secs: NonZeroU32,
    /// Requests that may come at once after a quiet time; as many as in a period when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_one(number: &NonZeroU32) -> bool {
    *number == NonZeroU32::MIN
}
