//! The addresses of sites.

use crate::model::DomainName;
use crate::translate::units::host_and_port;

/// One address of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The name, or `*`.
    pub(super) name: String,
    pub(super) port: Option<u16>,
    /// What stands in front of `://`.
    pub(super) scheme: Option<String>,
    pub(super) path: String,
}

impl Address {
    /// Reads an address such as `https://example.com:8443/path`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_owned()), rest),
            None => (None, text),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.strip_prefix(':') {
            Some(port) => ("", Some(port.parse().ok()?)),
            None => host_and_port(authority),
        };
        let name = if host.is_empty() { "*" } else { host.trim_matches(['[', ']']) };
        name.parse::<DomainName>().ok()?;
        Some(Self { name: name.to_owned(), port, scheme, path: path.to_owned() })
    }

    /// Whether it is served over plain HTTP alone.
    pub(super) fn is_plain(&self, http: u16, https: u16) -> bool {
        match (self.scheme.as_deref(), self.port) {
            (Some(scheme), _) => scheme == "http",
            (None, Some(port)) if port == http => true,
            // A port alone has no name for a certificate.
            (None, Some(port)) => self.name == "*" && port != https,
            (None, None) => false,
        }
    }
}
