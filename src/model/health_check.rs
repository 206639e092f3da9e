//! The definition of the active health check, and what it found.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ParseError, serde_as_text, text, worded};

/// How backends are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What a probe does.
    pub kind: HealthCheckKind,
    /// Time between two probes of one backend.
    pub interval: Duration,
    /// Time a probe may take in all.
    pub timeout: Duration,
    /// Failures in a row that make a backend unhealthy.
    pub unhealthy_threshold: u32,
    /// Successes in a row that make it healthy.
    pub healthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            kind: HealthCheckKind::default(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            unhealthy_threshold: 3,
            healthy_threshold: 2,
        }
    }
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheckKind {
    /// A GET request over the backend's own scheme.
    Http {
        /// The path it asks for.
        path: HealthPath,
        /// The host it asks for; the backend's address where there is none.
        host: Option<HealthHost>,
        /// The statuses that count as healthy.
        expected: StatusRanges,
    },
    /// A connection that is accepted.
    Tcp,
}

impl Default for HealthCheckKind {
    fn default() -> Self {
        Self::Http { path: HealthPath::default(), host: None, expected: StatusRanges::default() }
    }
}

text! {
    /// The path of a health check, with its query: starts with `/`.
    pub struct HealthPath(String) "A path with an optional query, such as `/health`.";
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
    pub struct HealthHost(String) "A host name or an IP address, with a port if need be.";
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

serde_as_text!(StatusRanges, "HTTP statuses and ranges of them: `200`, `200-399`, `200,204`.");

worded! {
    /// The observed health of a backend.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum HealthStatus {
        /// Enough successes in a row.
        Healthy "healthy",
        /// Enough failures in a row.
        Unhealthy "unhealthy",
        /// There have not been enough probes yet.
        // Or a verdict that a newer server has.
        #[default]
        #[serde(other)]
        Unknown "unknown",
    }
}

/// The health of a backend.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// The verdict.
    pub status: HealthStatus,
    /// When the verdict was reached, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// When the last probe ended, in milliseconds since the Unix epoch.
    pub checked_ms: Option<u64>,
    /// How long the last probe took, in microseconds.
    pub latency_us: Option<u64>,
    /// The HTTP status of the last probe, if it got one.
    pub last_status: Option<u16>,
    /// Why the last probe, or traffic since then, failed; null if it succeeded.
    pub last_error: Option<String>,
    /// When `last_error` was seen, in milliseconds since the Unix epoch.
    pub failed_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
