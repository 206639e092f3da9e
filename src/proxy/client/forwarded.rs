//! Whom the proxies in front name as the client: in `X-Forwarded-For`, or in a header of its own.
//!
//! Clients write into `X-Forwarded-For` too, and proxies add to what they wrote. So it is read as
//! bytes, over all its lines, from the right, where the proxies have written. What can't be read there
//! makes the client unknown: neither the proxy's own address nor an entry further left stands for it.

use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV4};

use http::HeaderName;
use ipnet::IpNet;

use crate::heads::RequestHead;
use crate::heads::names::X_FORWARDED_FOR;

/// What stands in a chain for an address that nobody knows (RFC 7239 §6.2 has the same word).
pub(crate) const UNKNOWN: &str = "unknown";

/// By what the client behind a trusted proxy is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// Whose word is believed.
    pub(crate) trusted: &'a [IpNet],
    /// The header that names the client, where the operator has said so.
    pub(crate) header: Option<&'a HeaderName>,
}

/// Whom a trusted proxy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its address; `None` where what names it can't be read.
    pub(crate) ip: Option<IpAddr>,
    /// Whether the header of the operator's choice names it, and not `X-Forwarded-For`.
    pub(crate) by_header: bool,
}

/// The client of a request that came from `peer`, which is trusted.
pub(crate) fn named(request: &RequestHead, peer: IpAddr, sources: Sources<'_>) -> Named {
    if let Some(name) = sources.header {
        let mut values = request.headers.all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => return Named { ip: address(value), by_header: true },
            // Of two nobody knows which one the proxy has written.
            (Some(_), Some(_)) => return Named { ip: None, by_header: true },
            (None, _) => {}
        }
    }
    Named { ip: rightmost_untrusted(request, peer, sources.trusted), by_header: false }
}

/// The first entry from the right that is no trusted proxy's; the leftmost where all are trusted;
/// `peer` where there are none. `None` where it can't be read.
fn rightmost_untrusted(request: &RequestHead, peer: IpAddr, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut client = peer;
    let lines = request.headers.all(X_FORWARDED_FOR).rev();
    for entry in lines.flat_map(|line| entries(line).rev()) {
        client = address(entry)?;
        if !trusted.iter().any(|network| network.contains(&client)) {
            break;
        }
    }
    Some(client)
}

/// The entries of a line; empty ones are no entries (RFC 9110 §5.6.1.2).
pub(crate) fn entries(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let entries = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    entries.filter(|entry| !entry.is_empty())
}

/// The chain that a backend gets: each entry of the request's as a plain address, then `peer`.
pub(crate) fn chain(request: &RequestHead, peer: &[u8]) -> Vec<u8> {
    let mut chain = Vec::new();
    for entry in request.headers.all(X_FORWARDED_FOR).flat_map(entries) {
        push(&mut chain, address(entry));
    }
    chain.extend_from_slice(peer);
    chain
}

/// The chain of a client that another header names.
pub(crate) fn short_chain(client: Option<IpAddr>, peer: &[u8]) -> Vec<u8> {
    let mut chain = Vec::new();
    push(&mut chain, client);
    chain.extend_from_slice(peer);
    chain
}

fn push(chain: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        // A vector takes what it is given.
        Some(address) => _ = write!(chain, "{address}"),
        None => chain.extend_from_slice(UNKNOWN.as_bytes()),
    }
    chain.extend_from_slice(b", ");
}

/// Reads an address as proxies write it: with a port, in brackets, with a zone.
pub(crate) fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let address = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        if !port.is_empty() {
            read_port(port.strip_prefix(':')?)?;
        }
        ipv6(address)?.into()
    } else if text.bytes().filter(|byte| *byte == b':').count() > 1 {
        ipv6(text)?.into()
    } else if text.contains(':') {
        let (_, port) = text.split_once(':')?;
        read_port(port)?;
        IpAddr::V4(*text.parse::<SocketAddrV4>().ok()?.ip())
    } else {
        IpAddr::V4(text.parse().ok()?)
    };
    Some(address.to_canonical())
}

/// An address of IPv6. A zone names an interface of the machine that wrote it, and is nothing to us.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "-"));
    let is_zone = !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_graphic());
    address.parse().ok().filter(|_| is_zone)
}

fn read_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn request(lines: &[&[u8]]) -> RequestHead {
        let mut request = RequestHead::new(Method::GET, b"/");
        for line in lines {
            request.headers.append(X_FORWARDED_FOR, line);
        }
        request
    }

    /// The client of a request with these lines behind 10.0.0.1.
    fn client(lines: &[&[u8]]) -> Option<String> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let sources = Sources { trusted: &trusted, header: None };
        let named = named(&request(lines), "10.0.0.1".parse().unwrap(), sources);
        named.ip.map(|ip| ip.to_string())
    }

    #[test]
    fn an_address_is_read_as_proxies_write_it() {
        for (entry, ip) in [
            ("203.0.113.9", Some("203.0.113.9")),
            (" 203.0.113.9\t", Some("203.0.113.9")),
            ("203.0.113.9:4711", Some("203.0.113.9")),
            ("203.0.113.9:0", Some("203.0.113.9")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%eth0.1]:443", Some("fe80::1")),
            ("::ffff:198.51.100.1", Some("198.51.100.1")),
            ("[::ffff:198.51.100.1]:80", Some("198.51.100.1")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("example.com", None),
            ("203.0.113.9:", None),
            ("203.0.113.9:+80", None),
            ("203.0.113.9:65536", None),
            ("203.0.113.09", None),
            ("203.0.113.9/32", None),
            ("203.0.113.9 x", None),
            ("[203.0.113.9]:80", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]443", None),
            ("[2001:db8::1]:", None),
            ("2001:db8::1]:443", None),
            ("fe80::1%", None),
            ("fe80::1%a b", None),
            ("\"[2001:db8::1]\"", None),
        ] {
            let read = address(entry.as_bytes()).map(|ip| ip.to_string());
            assert_eq!(read.as_deref(), ip, "{entry:?}");
        }
        assert_eq!(address(b"203.0.113.9\xff"), None);
    }

    #[test]
    fn the_client_is_the_rightmost_entry_that_is_not_trusted() {
        for (lines, expected) in [
            (&[][..], Some("10.0.0.1")),
            (&[&b""[..]], Some("10.0.0.1")),
            (&[b"198.51.100.1"], Some("198.51.100.1")),
            (&[b"203.0.113.9, 198.51.100.1"], Some("198.51.100.1")),
            (&[b"198.51.100.1", b"10.0.0.2"], Some("198.51.100.1")),
            (&[b"198.51.100.1:4711", b"10.0.0.2:80, [fd00::1%e]:1"], Some("198.51.100.1")),
            (&[b"10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            // What clients wrote in front of what a proxy wrote.
            (&[b"\xff, 198.51.100.1"], Some("198.51.100.1")),
            (&[b"\xff", b"198.51.100.1"], Some("198.51.100.1")),
            (&[b"rubbish, 198.51.100.1 , ,"], Some("198.51.100.1")),
            // What a proxy wrote and nobody can read.
            (&[b"203.0.113.9, rubbish, 10.0.0.2"], None),
            (&[b"203.0.113.9, \xff"], None),
            (&[b"203.0.113.9", b"unknown"], None),
        ] {
            assert_eq!(client(lines).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_header_of_its_own_comes_before_the_chain() {
        let name = HeaderName::from_static("cf-connecting-ip");
        let named = |values: &[&'static str]| {
            let mut request = request(&[b"198.51.100.1"]);
            for value in values {
                request.headers.append("CF-Connecting-IP", value);
            }
            let sources = Sources { trusted: &[], header: Some(&name) };
            named(&request, "10.0.0.1".parse().unwrap(), sources)
        };
        let by_header =
            |ip: Option<&str>| Named { ip: ip.map(|ip| ip.parse().unwrap()), by_header: true };
        assert_eq!(named(&["203.0.113.9"]), by_header(Some("203.0.113.9")));
        assert_eq!(named(&["[2001:db8::1]:443"]), by_header(Some("2001:db8::1")));
        assert_eq!(named(&["203.0.113.9", "203.0.113.9"]), by_header(None));
        assert_eq!(named(&["203.0.113.9, 203.0.113.10"]), by_header(None));
        assert_eq!(named(&[""]), by_header(None));
        let chain = Named { ip: Some("198.51.100.1".parse().unwrap()), by_header: false };
        assert_eq!(named(&[]), chain, "the proxy did not send it");
    }

    #[test]
    fn what_is_passed_on_are_plain_addresses() {
        let request = request(&[b"\xff, 198.51.100.1:4711,", b"[2001:db8::1]:443"]);
        let text = String::from_utf8(chain(&request, b"10.0.0.1")).unwrap();
        assert_eq!(text, "unknown, 198.51.100.1, 2001:db8::1, 10.0.0.1");
        assert_eq!(short_chain(None, b"10.0.0.1"), b"unknown, 10.0.0.1");
    }
}
