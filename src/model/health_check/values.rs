//! The values of a health check's keys.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ParseError, serde_as_text, text, worded};

worded! {
    /// What a probe does.
    #[derive(Hash, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum ProbeKind {
        /// It sends an HTTP request.
        #[default]
        Http "http",
        /// It connects.
        Tcp "tcp",
        /// It calls `Check` of `grpc.health.v1.Health`.
        Grpc "grpc",
    }
}

worded! {
    /// The method of a probe's request.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "UPPERCASE")]
    pub enum ProbeMethod {
        /// The usual one.
        #[default]
        Get "GET",
        /// As `GET`, without a body of the answer.
        Head "HEAD",
        /// With an empty body.
        Post "POST",
        /// What may be asked for.
        Options "OPTIONS",
    }
}

text! {
    /// The path of a health check, with its query: starts with `/`.
    pub struct HealthPath(String) "A path with an optional query, such as `/health`.",
        like r"^/\S*$";
}

impl Default for HealthPath {
    fn default() -> Self {
        Self("/".into())
    }
}

impl FromStr for HealthPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("health check path", text, reason);
        if !text.starts_with('/') {
            return Err(fail("it starts with `/`"));
        }
        text.parse::<http::uri::PathAndQuery>()
            .map_err(|_| fail("it has characters that must be percent-encoded"))?;
        Ok(Self(text.to_owned()))
    }
}

text! {
    /// The host that a health check asks for, with its port where it has one.
    pub struct HealthHost(String) "A host name or an IP address, with a port if need be.",
        like r"^([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$";
}

impl FromStr for HealthHost {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = || {
            let reason = "write a host name or an IP address, with a port if need be: \
                          `shop.example.com`, `[::1]:8080`";
            ParseError::new("health check host", text, reason)
        };
        let authority: http::uri::Authority = text.parse().map_err(|_| fail())?;
        let port = text.strip_prefix(authority.host()).ok_or_else(fail)?;
        let has_port = || authority.port_u16().is_some_and(|port| port != 0);
        // The parser of URIs takes more than a Host may be: user names, any sub-delimiter.
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if !authority.host().is_empty()
            && authority.host().bytes().all(is_host)
            && (port.is_empty() || has_port())
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(fail())
        }
    }
}

/// HTTP statuses, such as `200-399` or `200,204,301-308`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRanges(Vec<(u16, u16)>);

impl StatusRanges {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }

    /// Whether an answer with any of them can have a body (RFC 9110 §6.4.1).
    pub(super) fn have_bodies(&self) -> bool {
        (200..600).any(|status| ![204, 304].contains(&status) && self.contains(status))
    }
}

impl Default for StatusRanges {
    fn default() -> Self {
        Self(vec![(200, 399)])
    }
}

impl FromStr for StatusRanges {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = || {
            ParseError::new(
                "expected status",
                text,
                "write statuses from 100 to 599: `200`, `200-399` or `200,204,301-308`",
            )
        };
        let status = |part: &str| {
            part.trim().parse::<u16>().ok().filter(|n| (100..600).contains(n)).ok_or_else(fail)
        };
        text.split(',')
            .map(|part| {
                let (from, to) = part.split_once('-').unwrap_or((part, part));
                let (from, to) = (status(from)?, status(to)?);
                if from <= to { Ok((from, to)) } else { Err(fail()) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for StatusRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self
            .0
            .iter()
            .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
            .collect();
        f.pad(&parts.join(","))
    }
}

serde_as_text!(
    StatusRanges,
    "HTTP statuses and ranges of them: `200`, `200-399`, `200,204`.",
    like r"^\s*[1-5][0-9]{2}\s*(-\s*[1-5][0-9]{2}\s*)?(,\s*[1-5][0-9]{2}\s*(-\s*[1-5][0-9]{2}\s*)?)*$"
);

text! {
    /// The service that a gRPC health check asks about; empty for the server as a whole.
    #[derive(Default)]
    pub struct GrpcService(String) "The name of a gRPC service, such as `shop.v1.Cart`; empty for the whole server.",
        like r"^[0-9A-Za-z._/-]{0,200}$", by check_service;
}

fn check_service(text: &str) -> Result<(), ParseError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    if text.len() <= 200 && text.bytes().all(is_name) {
        return Ok(());
    }
    let reason = "write the full name of a service, such as `shop.v1.Cart`, or nothing for the server as a whole";
    Err(ParseError::new("gRPC service", text, reason))
}

/// A number of probes in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("minimum" = 1, "maximum" = 1000))]
pub struct ProbeCount(u16);

impl ProbeCount {
    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for ProbeCount {
    type Error = ParseError;

    fn try_from(number: u64) -> Result<Self, ParseError> {
        let count = u16::try_from(number).ok().filter(|n| (1..=1000).contains(n)).map(Self);
        count.ok_or_else(|| {
            ParseError::new("number of probes", &number.to_string(), "use 1 to 1000")
        })
    }
}

impl From<ProbeCount> for u64 {
    fn from(count: ProbeCount) -> Self {
        count.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_name_and_statuses_without_bodies_are_known() {
        for (service, is_one) in
            [("", true), ("shop.v1.Cart", true), ("a b", false), ("a\n", false), ("é", false)]
        {
            assert_eq!(service.parse::<GrpcService>().is_ok(), is_one, "{service:?}");
        }
        assert!("x".repeat(201).parse::<GrpcService>().is_err());
        for (statuses, have) in [("204", false), ("204,304,101", false), ("200-204", true)] {
            assert_eq!(statuses.parse::<StatusRanges>().unwrap().have_bodies(), have, "{statuses}");
        }
    }

    #[test]
    fn a_host_of_probes_is_a_host_and_perhaps_a_port() {
        for host in ["shop.example.com", "localhost:3000", "10.0.0.1", "[::1]", "[::1]:80", "a_b"] {
            let parsed = host.parse::<HealthHost>();
            assert_eq!(parsed.as_ref().map(HealthHost::as_str).ok(), Some(host));
        }
        for host in
            ["", "a b", "user@a", "a:", "a:b", "a:0", "a:70000", ":80", "a/b", "*.a", "a\r\nb", "ä"]
        {
            assert!(host.parse::<HealthHost>().is_err(), "{host:?}");
        }
    }
}
