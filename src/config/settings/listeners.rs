//! The addresses that are listened on: each is one listener's.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::kind::{Kind, Listen};
use crate::config::plain::Plain;
use crate::config::reader::Section;
use crate::config::value::listen_address;

/// The addresses at which one thing is served: one, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenAddrs(Vec<SocketAddr>);

/// One of them, as it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenAddr {
    /// The address.
    pub address: SocketAddr,
    /// Whether connections over IPv4 are left to another address of the list. `[::]` alone takes them too.
    pub ipv6_only: bool,
}

impl ListenAddrs {
    /// Each of them.
    pub(crate) fn each(&self) -> impl Iterator<Item = ListenAddr> {
        self.0.iter().map(|address| {
            let is_any = address.is_ipv6() && address.ip().is_unspecified();
            let leaves = |other: &SocketAddr| {
                other.ip().to_canonical().is_ipv4() && other.port() == address.port()
            };
            let ipv6_only = is_any && address.port() != 0 && self.0.iter().any(leaves);
            ListenAddr { address: *address, ipv6_only }
        })
    }
}

impl From<Vec<SocketAddr>> for ListenAddrs {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self(addresses)
    }
}

impl From<SocketAddr> for ListenAddrs {
    fn from(address: SocketAddr) -> Self {
        Self(vec![address])
    }
}

impl Plain for ListenAddrs {
    fn plain(&self) -> Json {
        match self.0.as_slice() {
            [one] => one.plain(),
            _ => self.0.plain(),
        }
    }
}

/// One address to listen on, or a list of them.
pub(crate) enum Listens {}

impl Kind for Listens {
    type Value = ListenAddrs;

    fn example() -> Json {
        json!(["0.0.0.0:80", "[::]:80"])
    }

    fn read(value: &DeValue<'_>, _: &std::path::Path) -> Result<ListenAddrs, String> {
        listen_address(value).map(ListenAddrs::from)
    }

    fn schema() -> Json {
        let mut schema = Listen::schema();
        let list = json!({ "type": "array", "items": schema, "minItems": 1, "uniqueItems": true });
        if let Some(choices) = schema["anyOf"].as_array_mut() {
            choices.push(list);
        }
        schema
    }

    fn take(section: &mut Section<'_, '_>, key: &'static str) -> Option<ListenAddrs> {
        if !section.is_list(key) {
            return section.take(key, &listen_address).map(ListenAddrs::from);
        }
        let example = Self::example().to_string();
        let elements = section.elements(key, &example, listen_address)?;
        let addresses: Vec<_> = elements.into_iter().map(|(address, _)| address).collect();
        if addresses.is_empty() {
            let message =
                format!("it is empty; name at least one, `{example}`, or leave the key out");
            section.problem(key, message);
            return None;
        }
        Some(addresses.into())
    }
}

/// The addresses that are listened on, with the keys that say so.
#[derive(Default)]
pub(in crate::config) struct Listeners(Vec<(ListenAddr, String)>);

impl Listeners {
    /// Notes addresses, and reports a listener that is there already.
    pub(super) fn claim(
        &mut self,
        section: &Section<'_, '_>,
        key: &'static str,
        addresses: &ListenAddrs,
    ) {
        let path = section.path_of(key);
        for (index, one) in addresses.each().enumerate() {
            if let Some((other, of)) = self.0.iter().find(|(other, _)| collide(one, *other)) {
                let message = if *of != path {
                    format!("`{of}` listens there; choose another port")
                } else if one.address == other.address {
                    "it is listed twice; name each once".to_owned()
                } else {
                    format!(
                        "`{}` takes its connections already; leave one of the two out, or choose \
                         another port",
                        other.address
                    )
                };
                if section.is_list(key) {
                    section.element_problem(key, index, message);
                } else {
                    section.problem(key, message);
                }
            }
            self.0.push((one, path.clone()));
        }
    }
}

/// Whether the kernel would refuse the second of the two. Port 0 is another port each time.
pub(in crate::config) fn collide(a: ListenAddr, b: ListenAddr) -> bool {
    let is_one_port = a.address.port() != 0 && a.address.port() == b.address.port();
    is_one_port && (is_same(a.address, b.address) || takes(a, b.address) || takes(b, a.address))
}

fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    match (a, b) {
        // One address of a link is there on each link.
        (SocketAddr::V6(a), SocketAddr::V6(b)) if a.scope_id() != b.scope_id() => false,
        _ => a.ip().to_canonical() == b.ip().to_canonical(),
    }
}

/// Whether a listener is for all addresses of a kind, `other` among them.
fn takes(listener: ListenAddr, other: SocketAddr) -> bool {
    let other = other.ip().to_canonical();
    match listener.address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_unspecified() && other.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified() && (other.is_ipv6() || !listener.ipv6_only),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(texts: &[&str]) -> Vec<ListenAddr> {
        let addresses: Vec<SocketAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        ListenAddrs::from(addresses).each().collect()
    }

    #[test]
    fn all_of_ipv6_leaves_ipv4_to_the_address_beside_it() {
        let only = |texts: &[&str]| each(texts).iter().map(|of| of.ipv6_only).collect::<Vec<_>>();
        assert_eq!(only(&["[::]:443"]), [false], "as ever");
        assert_eq!(only(&["0.0.0.0:443", "[::]:443"]), [false, true]);
        assert_eq!(only(&["[::]:443", "127.0.0.1:443"]), [true, false]);
        assert_eq!(only(&["[::]:443", "0.0.0.0:8443"]), [false, false], "another port");
        assert_eq!(only(&["[::1]:443", "127.0.0.1:443"]), [false, false], "one address is its own");
        assert_eq!(only(&["[::]:0", "0.0.0.0:0"]), [false, false], "the kernel chooses two ports");
    }

    #[test]
    fn listeners_collide_where_the_kernel_would_refuse_the_second() {
        let collides = |a: &str, b: &str| {
            let (a, b) = (each(&[a])[0], each(&[b])[0]);
            assert_eq!(collide(a, b), collide(b, a));
            collide(a, b)
        };
        assert!(collides("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collides("0.0.0.0:80", "127.0.0.1:80"));
        assert!(collides("[::]:80", "[::1]:80"));
        assert!(collides("[::]:80", "0.0.0.0:80"), "alone it takes both");
        assert!(collides("[::ffff:127.0.0.1]:80", "127.0.0.1:80"), "one address in two forms");
        assert!(!collides("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collides("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!collides("[::1]:80", "127.0.0.1:80"));
        assert!(!collides("0.0.0.0:0", "0.0.0.0:0"));
        assert!(!collides("[fe80::1%1]:80", "[fe80::1%2]:80"), "another link");
        let both = each(&["0.0.0.0:80", "[::]:80"]);
        assert!(!collide(both[0], both[1]));
    }
}
