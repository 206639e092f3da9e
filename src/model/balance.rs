//! How a backend is chosen from a pool.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderName;

use super::{ParseError, serde_as_text};

/// How a backend is chosen from a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one of two random backends with fewer requests in flight for its weight.
    LeastConnections,
    /// The one of two random backends that is likely to answer first.
    LeastLatency,
    /// By the client's address: each has a backend of its own.
    HashClient,
    /// By the value of a request header.
    HashHeader(HeaderName),
    /// By the value of a cookie.
    HashCookie(Arc<str>),
}

impl Balance {
    /// The words that stand alone.
    pub const WORDS: [&'static str; 4] =
        ["round-robin", "least-connections", "least-latency", "hash-client"];
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRobin => f.pad(Self::WORDS[0]),
            Self::LeastConnections => f.pad(Self::WORDS[1]),
            Self::LeastLatency => f.pad(Self::WORDS[2]),
            Self::HashClient => f.pad(Self::WORDS[3]),
            Self::HashHeader(name) => f.pad(&format!("hash-header:{name}")),
            Self::HashCookie(name) => f.pad(&format!("hash-cookie:{name}")),
        }
    }
}

impl FromStr for Balance {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("balance method", text, reason);
        match text {
            "round-robin" => return Ok(Self::RoundRobin),
            "least-connections" => return Ok(Self::LeastConnections),
            "least-latency" => return Ok(Self::LeastLatency),
            "hash-client" => return Ok(Self::HashClient),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("hash-header:") {
            let name = name.parse().map_err(|_| fail("name a header: `hash-header:X-User`"))?;
            return Ok(Self::HashHeader(name));
        }
        if let Some(name) = text.strip_prefix("hash-cookie:") {
            // RFC 6265 §4.1.1 has the names of headers for those of cookies; but case counts.
            return match name.parse::<HeaderName>() {
                Ok(_) => Ok(Self::HashCookie(name.into())),
                Err(_) => Err(fail("name a cookie: `hash-cookie:session`")),
            };
        }
        Err(fail(
            "choose `round-robin`, `least-connections`, `least-latency`, `hash-client`, \
             `hash-header:NAME` or `hash-cookie:NAME`",
        ))
    }
}

serde_as_text!(
    Balance,
    "How a backend is chosen: `round-robin`, `least-connections`, `least-latency`, `hash-client`, \
     `hash-header:NAME` or `hash-cookie:NAME`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_read_as_they_are_written() {
        let methods = ["hash-header:x-user", "hash-cookie:Session_1"];
        for text in Balance::WORDS.into_iter().chain(methods) {
            assert_eq!(text.parse::<Balance>().expect(text).to_string(), text);
        }
        assert_eq!(
            "hash-header:X-User".parse::<Balance>().unwrap().to_string(),
            "hash-header:x-user"
        );
    }

    #[test]
    fn a_bad_method_says_what_would_be_right() {
        for (text, part) in [
            ("random", "choose `round-robin`"),
            ("hash-header:", "name a header"),
            ("hash-header:a b", "name a header"),
            ("hash-cookie:a;b", "name a cookie"),
            ("hash-client:x", "choose `round-robin`"),
        ] {
            let error = text.parse::<Balance>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
