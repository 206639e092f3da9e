//! What a virtual host does beyond sending requests to its live tag: one file an option.
//!
//! The same keys in the config file, over the socket and over REST.

mod access;
mod basic_auth;
mod compression;
mod error_pages;
mod header_edits;
mod held;
mod maintenance;
mod names;
mod path_route;
mod sticky;
mod written;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use access::{Network, RateLimit};
pub use basic_auth::{BasicAuth, PasswordHash, UserName};
pub use compression::Encoding;
pub use error_pages::{ErrorPages, MAX_PAGE_BYTES, Page, PageFor, PageText};
pub use header_edits::{HeaderEdits, HeaderField, HeaderText};
pub use held::HostOptions;
pub use maintenance::{Maintenance, Pause};
pub use path_route::{PathPrefix, PathRoute};
pub use sticky::Sticky;

use super::{DomainName, Pattern};

/// Every option that a virtual host may have; what is not given is off.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptionSet {
    /// Requests under any other name of the domain are redirected to this host (308).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_host: Option<DomainName>,
    /// Paths that other tags serve: the longest prefix that fits wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathRoute>,
    /// What is changed about requests before a backend gets them.
    #[serde(skip_serializing_if = "HeaderEdits::is_empty")]
    pub request_headers: HeaderEdits,
    /// What is changed about responses before a client gets them.
    #[serde(skip_serializing_if = "HeaderEdits::is_empty")]
    pub response_headers: HeaderEdits,
    /// Who may come in, by name and password (RFC 7617).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The encodings that compressible responses may get, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compression: Vec<Encoding>,
    /// Files and texts that take the place of error answers.
    #[serde(skip_serializing_if = "ErrorPages::is_empty")]
    pub error_pages: ErrorPages,
    /// All requests are answered with 503 while this is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Requests wait while this is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Clients stay with the backend that they had first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// The largest request body, in bytes; 413 beyond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// How many requests are taken in all; 429 beyond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// How many requests are taken of each client; 429 beyond. An IPv6 client is its /64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_rate_limit: Option<RateLimit>,
    /// The only clients that are served; all, where there are none. 403 for others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
    /// Clients that are not served (403), whatever `allow` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Network>,
}

/// Why options can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {reason}")]
pub struct OptionError {
    /// The key, with what leads to it.
    pub path: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl OptionSet {
    /// Every key.
    pub const KEYS: [&'static str; 15] = [
        "canonical_host",
        "paths",
        "request_headers",
        "response_headers",
        "basic_auth",
        "compression",
        "error_pages",
        "maintenance",
        "pause",
        "sticky",
        "max_body_bytes",
        "rate_limit",
        "client_rate_limit",
        "allow",
        "deny",
    ];

    /// What stands at each key that is given.
    fn values(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(values)) => values,
            // Every key is a string, and nothing in it can fail.
            _ => Map::new(),
        }
    }
}

impl OptionSet {
    /// What types can't hold: what is too much, or stands twice.
    fn check(&self) -> Result<(), OptionError> {
        let at = |path: &str, reason: String| Err(OptionError { path: path.to_owned(), reason });
        if self.canonical_host.as_ref().is_some_and(|host| !is_exact(host)) {
            return at("canonical_host", "name one host, not a wildcard".into());
        }
        path_route::check(&self.paths).or_else(|reason| at("paths", reason))?;
        self.request_headers.check().or_else(|reason| at("request_headers", reason))?;
        self.response_headers.check().or_else(|reason| at("response_headers", reason))?;
        compression::check(&self.compression).or_else(|reason| at("compression", reason))?;
        self.error_pages.check().or_else(|reason| at("error_pages", reason))?;
        if let Some(auth) = &self.basic_auth {
            auth.check().or_else(|reason| at("basic_auth", reason))?;
        }
        if let Some(sticky) = &self.sticky {
            sticky.check().or_else(|reason| at("sticky.cookie", reason))?;
        }
        Ok(())
    }
}

fn is_exact(name: &DomainName) -> bool {
    matches!(name.pattern(), Pattern::Exact(_))
}

#[cfg(test)]
mod tests;
