//! The `Forwarded` that a backend gets (RFC 7239): an element for each hop, this one's the last.
//!
//! Of what came only a trusted proxy's word goes on, where it can be read from its beginning to its end and
//! names the client that everything else here goes by. In its place there are the entries of
//! `X-Forwarded-For` otherwise: some proxies add to that one alone, and pass on what their client wrote of
//! the other.

use std::io::Write as _;
use std::net::IpAddr;

use super::hop::Hop;
use crate::heads::RequestHead;
use crate::heads::names::{FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::proxy::client::forwarded::{UNKNOWN, address, entries};
use crate::proxy::wire::strict::is_token;

/// The value for a request as it came.
pub(super) fn forwarded(request: &RequestHead, hop: &Hop<'_>) -> Vec<u8> {
    let client = hop.client;
    let mut value = Vec::with_capacity(96);
    if client.trusted {
        if is_agreed(request, hop) {
            for line in request.headers.all(FORWARDED).filter(|line| !line.is_empty()) {
                begin(&mut value);
                value.extend_from_slice(line);
            }
        } else {
            push_chain(&mut value, request, hop);
        }
    }
    let is_known = client.trusted || client.origin.is_some();
    let proto = if client.secure { "https" } else { "http" };
    push(&mut value, is_known.then_some(client.ip), hop.host, Some(proto));
    value
}

/// Whether a trusted proxy's `Forwarded` can be read, and names the client that the request is from.
fn is_agreed(request: &RequestHead, hop: &Hop<'_>) -> bool {
    let mut nodes = Vec::new();
    if !request.headers.all(FORWARDED).all(|line| read(line, &mut nodes).is_some()) {
        return false;
    }
    // Nothing else names anybody.
    if !hop.client.by_header && !request.headers.has(X_FORWARDED_FOR) {
        return true;
    }
    let mut client = Some(hop.client.ip);
    for node in nodes.into_iter().rev() {
        client = node;
        if node.is_none_or(|ip| !hop.is_trusted(ip)) {
            break;
        }
    }
    client == hop.client.origin
}

/// Writes the entries of `X-Forwarded-For`, or whom another header names. With the client stands what the
/// proxies say that it has asked for.
fn push_chain(value: &mut Vec<u8>, request: &RequestHead, hop: &Hop<'_>) {
    let headers = &request.headers;
    let nodes: Vec<_> = if hop.client.by_header {
        vec![hop.client.origin]
    } else {
        headers.all(X_FORWARDED_FOR).flat_map(entries).map(address).collect()
    };
    let is_client = |node: &Option<IpAddr>| node.is_none_or(|ip| !hop.is_trusted(ip));
    let of_client = nodes.iter().rposition(is_client).unwrap_or(0);
    let host = headers.get(X_FORWARDED_HOST);
    let proto = headers.text(X_FORWARDED_PROTO).filter(|proto| matches!(*proto, "http" | "https"));
    for (index, node) in nodes.into_iter().enumerate() {
        let (host, proto) = if index == of_client { (host, proto) } else { (None, None) };
        push(value, node, host, proto);
    }
}

fn begin(value: &mut Vec<u8>) {
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
}

/// Writes an element.
fn push(value: &mut Vec<u8>, node: Option<IpAddr>, host: Option<&[u8]>, proto: Option<&str>) {
    begin(value);
    // A vector takes what it is given.
    let _ = match node {
        Some(IpAddr::V4(ip)) => write!(value, "for={ip}"),
        Some(IpAddr::V6(ip)) => write!(value, "for=\"[{ip}]\""),
        None => write!(value, "for={UNKNOWN}"),
    };
    if let Some(host) = host.filter(|host| is_host(host)) {
        let quote: &[u8] = if is_token(host) { b"" } else { b"\"" };
        for part in [&b";host="[..], quote, host, quote] {
            value.extend_from_slice(part);
        }
    }
    if let Some(proto) = proto {
        value.extend_from_slice(b";proto=");
        value.extend_from_slice(proto.as_bytes());
    }
}

/// Whether it can stand within quotes as it is.
fn is_host(host: &[u8]) -> bool {
    let is_of_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    !host.is_empty() && host.iter().all(is_of_host)
}

/// Reads a line by the grammar of RFC 7239 §4: for each element whom it is `for`, where that is an address.
fn read(line: &[u8], nodes: &mut Vec<Option<IpAddr>>) -> Option<()> {
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(b",") {
            rest = next.trim_ascii_start();
            continue;
        }
        let mut named = None;
        loop {
            let equals = rest.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&rest[..equals], &rest[equals + 1..]);
            if !is_token(name) {
                return None;
            }
            let (value, after) = read_value(value)?;
            if name.eq_ignore_ascii_case(b"for") && named.replace(address(&value)).is_some() {
                return None;
            }
            rest = after.trim_ascii_start();
            match rest.strip_prefix(b";") {
                Some(next) => rest = next.trim_ascii_start(),
                None => break,
            }
        }
        nodes.push(named.flatten());
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
    Some(())
}

/// Reads a token or a quoted text; with what stands behind it.
fn read_value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let is_end = |byte: &u8| matches!(byte, b';' | b',' | b' ' | b'\t');
        let end = text.iter().position(is_end).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return is_token(value).then(|| (value.to_vec(), rest));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((value, &quoted[at + 1..])),
            b'\\' => value.push(*bytes.next()?.1),
            byte => value.push(*byte),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::proxy::client::forwarded::{Sources, named};
    use crate::proxy::client::sender::Client;

    /// What a backend gets of a request of 10.0.0.1, which is trusted or not.
    fn told(trusted: bool, headers: &[(&str, &str)], host: Option<&str>) -> String {
        let networks = ["10.0.0.0/8".parse().unwrap()];
        let mut request = RequestHead::new(Method::GET, b"/");
        for (name, value) in headers {
            request.headers.append(*name, value);
        }
        let ip = "10.0.0.1".parse().unwrap();
        let sources = Sources { trusted: &networks, header: None };
        let origin = if trusted { named(&request, ip, sources).ip } else { Some(ip) };
        let client = Client { peer: ip, ip, trusted, secure: true, origin, by_header: false };
        let host = host.map(str::as_bytes);
        let value = forwarded(&request, &Hop { client, sources, host, port: None });
        String::from_utf8(value).unwrap()
    }

    const OWN: &str = "for=10.0.0.1;proto=https";

    #[test]
    fn a_strangers_is_replaced_by_what_is_known() {
        let forged = [("Forwarded", "for=1.2.3.4"), ("X-Forwarded-For", "1.2.3.4")];
        assert_eq!(told(false, &forged, Some("a.test")), "for=10.0.0.1;host=a.test;proto=https");
        assert_eq!(told(false, &forged, None), OWN);
        assert_eq!(
            told(false, &[], Some("a.test:8080")),
            "for=10.0.0.1;host=\"a.test:8080\";proto=https"
        );
        assert_eq!(
            told(false, &[], Some("[::1]:80")),
            "for=10.0.0.1;host=\"[::1]:80\";proto=https"
        );
        assert_eq!(told(false, &[], Some("a\";for=1.2.3.4;x=\"")), OWN);
    }

    #[test]
    fn a_trusted_proxys_is_added_to_where_it_is_one_and_names_the_client() {
        let own = |before: &str| format!("{before}, {OWN}");
        for kept in [
            "for=192.0.2.1",
            "For=\"[2001:db8::1]:4711\";proto=http;by=203.0.113.9",
            "for=_hidden, for=10.0.0.7;host=\"a\\\"b,c\"",
            "for=unknown",
            ",, for=192.0.2.1 ; proto=https ,",
        ] {
            assert_eq!(told(true, &[("Forwarded", kept)], None), own(kept));
        }
        let lines = [("Forwarded", "for=192.0.2.1"), ("Forwarded", "for=10.0.0.7")];
        assert_eq!(told(true, &lines, None), own("for=192.0.2.1, for=10.0.0.7"));
        let both =
            [("Forwarded", "for=192.0.2.1;host=x"), ("X-Forwarded-For", "192.0.2.1, 10.0.0.3")];
        assert_eq!(told(true, &both, None), own("for=192.0.2.1;host=x"));
    }

    #[test]
    fn where_a_trusted_proxy_has_only_the_other_header_or_another_client_that_one_counts() {
        let own = |before: &str| format!("{before}, {OWN}");
        let chain = [
            ("X-Forwarded-For", "192.0.2.1, 2001:db8::1, 10.0.0.7"),
            ("X-Forwarded-Host", "a.test:1"),
            ("X-Forwarded-Proto", "https"),
        ];
        let expected =
            "for=192.0.2.1, for=\"[2001:db8::1]\";host=\"a.test:1\";proto=https, for=10.0.0.7";
        assert_eq!(told(true, &chain, None), own(expected));
        for forged in
            ["for=1.2.3.4", "for=\"1.2.3.4", "for=2001:db8::1", "for=x for=y", "for", "=x"]
        {
            let mut headers = chain.to_vec();
            headers.push(("Forwarded", forged));
            assert_eq!(told(true, &headers, None), own(expected), "{forged}");
        }
        assert_eq!(told(true, &[("Forwarded", "for=\"open"),], None), OWN);
        let twice = [("Forwarded", "for=192.0.2.1;for=192.0.2.2")];
        assert_eq!(told(true, &twice, None), OWN);
        assert_eq!(told(true, &[("X-Forwarded-For", "rubbish")], None), own("for=unknown"));
        assert_eq!(told(true, &[], None), OWN);
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_came_leaves_a_quote_open(line in "[ -~]{0,40}") {
            let value = told(true, &[("Forwarded", &line)], None);
            let mut nodes = Vec::new();
            proptest::prop_assert!(read(value.as_bytes(), &mut nodes).is_some(), "{}", value);
            proptest::prop_assert_eq!(nodes.last().copied().flatten(), "10.0.0.1".parse().ok());
        }
    }
}
