//! One server that answers requests: who it is, where it is, and what the operator wants of it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::record::{self, Differing, as_stored};
use super::tag::check_label;
use super::{BackendOptions, ParseError, Tag, backend_options, serde_as_text, text, worded};

text! {
    /// The name of a backend, unique on this server.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct BackendId(Arc<str>) "The name of a backend: letters, digits, `-`, `_` and `.`.",
        by |text| check_label("backend id", text, 128);
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackendAddr {
    /// A numeric address and port.
    Ip(SocketAddr),
    /// A name that is resolved again as its records change; or an IPv6 address with the name of its
    /// zone, which is an interface that may come and go.
    Name {
        /// The host name, lower case; or `fe80::1%eth0`.
        host: Arc<str>,
        /// The TCP port.
        port: u16,
    },
    /// A Unix socket, by its absolute path.
    Unix(Arc<std::path::Path>),
}

impl FromStr for BackendAddr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("backend address", text, reason);
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            // The kernel's sockaddr_un holds 108 bytes, the last of them zero.
            return if !path.is_absolute() {
                Err(fail("a Unix socket wants an absolute path: `unix:/run/app.sock`"))
            } else if text.contains('\0') {
                Err(fail("a path has no NUL"))
            } else if path.as_os_str().len() > 107 {
                Err(fail("the path of a Unix socket has at most 107 bytes"))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if text.contains("://") || text.contains('/') {
            return Err(fail("give `host:port` alone; the scheme is a key of its own"));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 {
                Err(fail("port 0 cannot be connected to"))
            } else {
                Ok(Self::Ip(address))
            };
        }
        if let Some((zoned, port)) = text.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"))
            && let Some((address, zone)) = zoned.split_once('%')
        {
            return zoned_address(address, zone, port).map_err(fail);
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| fail("add the port: `host:port`"))?;
        if host.contains(':') {
            return Err(fail("write an IPv6 address in brackets: `[::1]:3000`"));
        }
        let port = port_of(port).map_err(fail)?;
        let name = host;
        let host: super::DomainName = host
            .parse()
            .map_err(|e: ParseError| fail(&format!("the host is not a name: {}", e.reason)))?;
        match host.pattern() {
            // Resolvers take more spellings of an address than one: nobody may name what they can't see.
            super::Pattern::Exact(_) if is_numeric(&host.to_string()) => Err(fail(&format!(
                "`{name}` is no name, and an address is four numbers: `127.0.0.1:3000`"
            ))),
            super::Pattern::Exact(host) => Ok(Self::Name { host: host.clone(), port }),
            _ => Err(fail("a wildcard is no address")),
        }
    }
}

impl BackendAddr {
    /// The address as others may see it: a zone means something on this machine alone (RFC 6874 §1).
    pub fn without_zone(&self) -> String {
        match self {
            Self::Ip(address) => SocketAddr::new(address.ip(), address.port()).to_string(),
            Self::Name { host, port } => match host.split_once('%') {
                Some((address, _)) => format!("[{address}]:{port}"),
                None => format!("{host}:{port}"),
            },
            Self::Unix(_) => self.to_string(),
        }
    }
}

fn port_of(text: &str) -> Result<u16, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text);
    let port = digits.and_then(|text| text.parse().ok()).filter(|port| *port != 0);
    port.ok_or("the port is a number from 1 to 65535")
}

/// Whether resolvers take a host for an address of IPv4: all of its labels are numbers (`inet_aton`).
fn is_numeric(host: &str) -> bool {
    host.split('.').all(|label| {
        label.bytes().all(|byte| byte.is_ascii_digit())
            || label
                .strip_prefix("0x")
                .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

/// An address that needs the interface by which it is reached: `[fe80::1%eth0]:3000`.
fn zoned_address(address: &str, zone: &str, port: &str) -> Result<BackendAddr, &'static str> {
    let address: Ipv6Addr = address
        .parse()
        .map_err(|_| "write an IPv6 address with a zone so: `[fe80::1%eth0]:3000`")?;
    if !address.is_unicast_link_local() {
        return Err("only a link-local address (`fe80::/10`) has a zone");
    }
    // The kernel's names of interfaces have 16 bytes, the last of them zero.
    let is_name = (1..=15).contains(&zone.len())
        && zone.bytes().all(|byte| byte.is_ascii_graphic() && !b"%/[]:".contains(&byte));
    if !is_name {
        return Err("the zone is the name of an interface, such as `eth0`, or its number");
    }
    Ok(BackendAddr::Name { host: format!("{address}%{zone}").into(), port: port_of(port)? })
}

impl fmt::Display for BackendAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => f.pad(&address.to_string()),
            Self::Name { host, port } if host.contains('%') => f.pad(&format!("[{host}]:{port}")),
            Self::Name { host, port } => f.pad(&format!("{host}:{port}")),
            Self::Unix(path) => f.pad(&format!("unix:{}", path.display())),
        }
    }
}

serde_as_text!(BackendAddr, "`address:port`, `name:port` or `unix:/path`.");

worded! {
    /// The state that the operator has set.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum BackendState {
        /// Gets requests if its health allows.
        #[default]
        Ready "ready",
        /// Gets no new requests; its running requests finish.
        Draining "draining",
        /// Gets neither requests nor probes.
        Disabled "disabled",
    }
}

/// A backend as the operator declared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// Its tags: the pools that it belongs to.
    pub tags: BTreeSet<Tag>,
    /// How it is spoken to, and its share of traffic.
    #[serde(flatten)]
    #[serde(serialize_with = "as_stored", deserialize_with = "backend_options::from_stored")]
    pub options: BackendOptions,
    /// Whether it takes traffic.
    #[serde(default)]
    pub state: BackendState,
}

impl Backend {
    /// Each key that differs, with what both say of it, for people.
    pub fn differences(&self, other: &Self) -> Vec<Differing> {
        let tags = |of: &Self| record::text("tags", Some(&json!(of.tags)));
        let own = [
            ("address", self.address.to_string(), other.address.to_string()),
            ("tags", tags(self), tags(other)),
            ("state", self.state.to_string(), other.state.to_string()),
        ];
        let mut differing = Vec::from(own);
        differing.retain(|(_, one, other)| one != other);
        differing.extend(record::differences(&self.options, &other.options));
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scheme;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in [
            "127.0.0.1:80",
            "[::1]:3000",
            "localhost:3001",
            "unix:/run/app.sock",
            "[fe80::1%eth0]:3000",
            "[fe80::1%br-0a.1]:3000",
            "[fe80::1%2]:3000",
        ] {
            assert_eq!(text.parse::<BackendAddr>().expect(text).to_string(), text);
        }
        for (text, seen) in [
            ("[fe80::1%eth0]:3000", "[fe80::1]:3000"),
            ("[fe80::1%2]:3000", "[fe80::1]:3000"),
            ("localhost:3001", "localhost:3001"),
            ("[::1]:3000", "[::1]:3000"),
        ] {
            assert_eq!(text.parse::<BackendAddr>().expect(text).without_zone(), seen);
        }
        assert_eq!("WEB.internal:1".parse::<BackendAddr>().unwrap().to_string(), "web.internal:1");
    }

    #[test]
    fn a_bad_address_says_what_would_be_right() {
        for (text, part) in [
            ("localhost", "add the port"),
            ("localhost:0", "1 to 65535"),
            ("localhost:http", "1 to 65535"),
            ("127.0.0.1:0", "port 0"),
            ("::1:80", "in brackets"),
            ("[fe80::1%eth0]", "in brackets"),
            ("[fe80::1%eth0]:0", "1 to 65535"),
            ("[::1%eth0]:80", "link-local"),
            ("[fe80::1%]:80", "name of an interface"),
            ("[fe80::1%eth 0]:80", "name of an interface"),
            ("[fe80::1%sixteen-letters-]:80", "name of an interface"),
            ("[10.0.0.1%eth0]:80", "with a zone so"),
            ("http://localhost:80", "scheme is a key"),
            ("unix:app.sock", "absolute path"),
            ("unix:/run/\0app.sock", "no NUL"),
            ("*:80", "wildcard"),
            (":80", "not a name"),
            ("127.0.0.1.:80", "four numbers"),
            ("127.1:80", "four numbers"),
            ("127.000.000.001:80", "four numbers"),
            ("2130706433:80", "four numbers"),
            ("0x7f000001:80", "four numbers"),
            ("0x7f.1:80", "four numbers"),
            ("\u{ff11}27.0.0.1:80", "four numbers"),
            ("127.0.0.1:+80", "1 to 65535"),
            ("localhost:+80", "1 to 65535"),
        ] {
            let error = text.parse::<BackendAddr>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_backend_that_was_stored_before_keys_joined_comes_back() {
        let stored = r#"{"id":"w","address":"127.0.0.1:1","tags":[],"scheme":"https"}"#;
        let backend: Backend = serde_json::from_str(stored).unwrap();
        let options = BackendOptions { scheme: Scheme::Https, ..BackendOptions::default() };
        assert_eq!(backend.options, options);
        let json = serde_json::to_string(&backend).unwrap();
        assert!(!json.contains("tls_ca_file"), "what is not said is not stored: {json}");
    }

    #[test]
    fn a_backend_of_the_first_version_comes_back_with_its_tls() {
        let stored = r#"{"id":"w","address":"127.0.0.1:1","tags":[],"weight":3,"scheme":"h2",
            "tls":{"ca_file":"/ca.pem","insecure_skip_verify":false},"state":"draining",
            "backup":true,"send_proxy_protocol":"off","of_a_version_to_come":1}"#;
        let backend: Backend = serde_json::from_str(stored).unwrap();
        let options = BackendOptions {
            weight: 3.try_into().unwrap(),
            scheme: Scheme::H2,
            tls_ca_file: Some("/ca.pem".into()),
            backup: true,
            ..BackendOptions::default()
        };
        assert_eq!((&backend.options, backend.state), (&options, BackendState::Draining));
        let json = serde_json::to_string(&backend).unwrap();
        assert_eq!(serde_json::from_str::<Backend>(&json).unwrap(), backend, "{json}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_an_address_panic(text in ".{0,200}") {
            if let Ok(address) = text.parse::<BackendAddr>() {
                proptest::prop_assert_eq!(address.to_string().parse::<BackendAddr>(), Ok(address));
            }
        }
    }
}
