//! The name by which a backend behind TLS is asked for and verified.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::{DomainName, ParseError, Pattern, text};

text! {
    /// The name that a backend's certificate must be for: a host name, or an IP; an IPv6 address without
    /// brackets.
    #[derive(Hash)]
    pub struct TlsName(Arc<str>) "A host name or an IP address.";
}

impl FromStr for TlsName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("TLS server name", text, reason);
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string().into()));
        }
        let name: DomainName = text.parse().map_err(|error: ParseError| fail(&error.reason))?;
        match name.pattern() {
            Pattern::Exact(name) if name.starts_with('[') => {
                Err(fail("write an IPv6 address without brackets: `fd00::1`"))
            }
            Pattern::Exact(name) => Ok(Self(Arc::clone(name))),
            _ => Err(fail("write one name; a wildcard is no name of a server")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_one_host() {
        for (text, name) in [
            ("Web.Internal", "web.internal"),
            ("127.0.0.1", "127.0.0.1"),
            ("FD00::1", "fd00::1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(text.parse::<TlsName>().expect(text).as_str(), name);
        }
        for (text, part) in [
            ("*.example.com", "a wildcard"),
            ("*", "a wildcard"),
            ("[::1]", "without brackets"),
            ("", "TLS server name"),
            ("a b", "TLS server name"),
        ] {
            let error = text.parse::<TlsName>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
