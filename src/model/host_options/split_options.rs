//! How a domain that is live on several tags deals its clients out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Network;
use crate::model::{ParseError, serde_as_text};

/// How requests are dealt out among the tags of a domain that is live on several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitOptions {
    /// What a client is known by, so that it stays with its tag: `cookie`, one of the server's own, which is set
    /// only while the domain is split; `client`, its address (for IPv6, its /64); `header:NAME`; or
    /// `cookie:NAME`, a cookie of the application. A request without that header or that cookie gets the live
    /// tag. The default is `cookie`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<SplitKey>,
    /// Clients that may ask for a tag with the header `X-Vhost-Tag`: one that is live, has a share or a preview.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub testers: Vec<Network>,
    /// Whether backends get the tag of a request as `X-Vhost-Tag`, while the domain is split or a preview lasts.
    /// The default is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag_header: Option<bool>,
}

impl SplitOptions {
    /// Whether backends get the tag of a request.
    pub fn sends_tag(&self) -> bool {
        self.tag_header.unwrap_or(true)
    }
}

/// What a client is known by where a domain is split.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SplitKey {
    /// A cookie of the server's own.
    #[default]
    Cookie,
    /// Its address.
    Client,
    /// The value of a request header.
    Header(HeaderName),
    /// The value of a cookie of the application.
    CookieOf(Arc<str>),
}

impl fmt::Display for SplitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie => f.pad("cookie"),
            Self::Client => f.pad("client"),
            Self::Header(name) => f.pad(&format!("header:{name}")),
            Self::CookieOf(name) => f.pad(&format!("cookie:{name}")),
        }
    }
}

impl FromStr for SplitKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("split key", text, reason);
        match text {
            "cookie" => return Ok(Self::Cookie),
            "client" => return Ok(Self::Client),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("header:") {
            let name = name.parse().map_err(|_| fail("name a header: `header:X-User`"))?;
            return Ok(Self::Header(name));
        }
        if let Some(name) = text.strip_prefix("cookie:") {
            // RFC 6265 §4.1.1 has the names of headers for those of cookies; but case counts.
            return match name.parse::<HeaderName>() {
                Ok(_) => Ok(Self::CookieOf(name.into())),
                Err(_) => Err(fail("name a cookie: `cookie:session`")),
            };
        }
        Err(fail("choose `cookie`, `client`, `header:NAME` or `cookie:NAME`"))
    }
}

serde_as_text!(
    SplitKey,
    "What a client is known by: `cookie`, `client`, `header:NAME` or `cookie:NAME`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_as_they_are_written() {
        for text in ["cookie", "client", "header:x-user", "cookie:Session_1"] {
            assert_eq!(text.parse::<SplitKey>().expect(text).to_string(), text);
        }
        for (text, part) in [
            ("", "choose `cookie`"),
            ("header:", "name a header"),
            ("header:a b", "name a header"),
            ("cookie:a;b", "name a cookie"),
            ("client:x", "choose `cookie`"),
        ] {
            let error = text.parse::<SplitKey>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
