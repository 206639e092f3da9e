//! Where a backend listens.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::{DomainName, ParseError, Pattern, serde_as_text};

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
        let host: DomainName = host
            .parse()
            .map_err(|e: ParseError| fail(&format!("the host is not a name: {}", e.reason)))?;
        match host.pattern() {
            // Resolvers take more spellings of an address than one: nobody may name what they can't see.
            Pattern::Exact(_) if is_numeric(&host.to_string()) => Err(fail(&format!(
                "`{name}` is no name, and an address is four numbers: `127.0.0.1:3000`"
            ))),
            Pattern::Exact(host) => Ok(Self::Name { host: host.clone(), port }),
            _ => Err(fail("a wildcard is no address")),
        }
    }
}

impl BackendAddr {
    /// Whether both are where the same server listens, as far as their texts tell: `localhost` is this machine.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self == other
            || self.loopback_port().is_some_and(|port| other.loopback_port() == Some(port))
    }

    fn loopback_port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => (address.ip() == Ipv4Addr::LOCALHOST).then(|| address.port()),
            Self::Name { host, port } => (**host == *"localhost").then_some(*port),
            Self::Unix(_) => None,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn one_place_has_more_than_one_spelling() {
        let same = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| text.parse::<BackendAddr>().unwrap());
            one.is_same_place(&other) && other.is_same_place(&one)
        };
        for (one, other, is_same) in [
            ("localhost:3001", "127.0.0.1:3001", true),
            ("LOCALHOST:3001", "localhost:3001", true),
            ("localhost:3001", "127.0.0.1:3002", false),
            // Another process may listen there.
            ("localhost:3001", "[::1]:3001", false),
            ("127.0.0.2:3001", "127.0.0.1:3001", false),
            ("unix:/run/a.sock", "unix:/run/b.sock", false),
        ] {
            assert_eq!(same(one, other), is_same, "{one} and {other}");
        }
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
