//! What a backend hears of the client: `X-Forwarded-*` and the like. What strangers claim about others
//! is replaced; a trusted proxy's word is kept and added to.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use super::forwarded_field::forwarded;
use super::hop::Hop;
use crate::heads::names::{
    CF_CONNECTING_IP, CF_CONNECTING_IPV6, CF_PSEUDO_IPV4, FASTLY_CLIENT_IP, FORWARDED,
    TRUE_CLIENT_IP, X_CLIENT_IP, X_CLUSTER_CLIENT_IP, X_ENVOY_EXTERNAL_ADDRESS, X_FORWARDED_FOR,
    X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PREFIX, X_FORWARDED_PROTO, X_FORWARDED_SERVER,
    X_FORWARDED_SSL, X_REAL_IP, X_REQUEST_ID,
};
use crate::heads::{Known, RequestHead, Set};
use crate::proxy::client::forwarded::{UNKNOWN, chain, short_chain};
use crate::proxy::client::sender::Client;

/// The longest text of an address: one of IPv6 that ends like one of IPv4.
const LONGEST_IP: usize = 45;

/// The fields that say who the client is, or what it asked for, and that only a trusted proxy may have
/// set. Those that each request gets are replaced, and not here.
const CLAIMS: Set = Set::of(&[
    FORWARDED,
    X_FORWARDED_PORT,
    X_FORWARDED_PREFIX,
    X_FORWARDED_SERVER,
    X_FORWARDED_SSL,
    X_REAL_IP,
    X_CLIENT_IP,
    X_CLUSTER_CLIENT_IP,
    X_ENVOY_EXTERNAL_ADDRESS,
    TRUE_CLIENT_IP,
    CF_CONNECTING_IP,
    CF_CONNECTING_IPV6,
    CF_PSEUDO_IPV4,
    FASTLY_CLIENT_IP,
]);

/// The fields that each request gets unless the operator wants none of them.
const X_FORWARDED: Set = Set::of(&[X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST]);

/// By what a proxy in front says how its client has come to it.
const OF_CONNECTION: Set = Set::of(&[X_FORWARDED_PORT, X_FORWARDED_PROTO, X_FORWARDED_SSL]);

/// The fields that are the proxy's own to write.
const OWN: Set = CLAIMS.and(X_FORWARDED).and(Set::of(&[X_REQUEST_ID]));

/// Whether a field is the proxy's own to write, for what backends make of it.
pub(crate) fn is_own(name: &str) -> bool {
    Known::of(name.as_bytes()).is_some_and(|known| OWN.has(known))
}

/// Writes for the backend who the client is and what it asked for, as far as that is `sent`.
pub(crate) fn forward(request: &mut RequestHead, hop: &Hop<'_>, sent: Set) {
    let client = hop.client;
    // It is made of what came.
    let forwarded = sent.has(FORWARDED).then(|| forwarded(request, hop));
    if !client.trusted {
        request.headers.remove_any(CLAIMS);
        if let Some(name) = hop.sources.header {
            request.headers.remove(name);
        }
    }
    let headers = &mut request.headers;
    if sent.has(X_REAL_IP) || headers.has(X_REAL_IP) {
        match client.origin {
            Some(origin) => headers.insert(X_REAL_IP, write_ip(&mut [0; LONGEST_IP], origin)),
            None => _ = headers.remove(X_REAL_IP),
        }
    }
    // A proxy that says how its client came, but not to which port, knows another one than this.
    let is_of_proxy = client.trusted && headers.has_any(OF_CONNECTION);
    if let Some(port) = hop.port.filter(|_| sent.has(X_FORWARDED_PORT) && !is_of_proxy) {
        headers.insert(X_FORWARDED_PORT, itoa::Buffer::new().format(port));
    }
    if let Some(forwarded) = forwarded {
        headers.insert(FORWARDED, forwarded);
    }
    if sent.has(X_FORWARDED_FOR) {
        x_forwarded(request, client, hop.host);
    } else {
        headers.remove_any(X_FORWARDED);
    }
}

/// Writes `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
fn x_forwarded(request: &mut RequestHead, client: Client, host: Option<&[u8]>) {
    let mut text = [0; LONGEST_IP];
    let ip = write_ip(&mut text, client.ip);
    if client.trusted {
        let chain =
            if client.by_header { short_chain(client.origin, ip) } else { chain(request, ip) };
        request.headers.insert(X_FORWARDED_FOR, chain);
    } else {
        let origin = if client.origin.is_some() { ip } else { UNKNOWN.as_bytes() };
        request.headers.insert(X_FORWARDED_FOR, origin);
    }
    let headers = &mut request.headers;
    if !client.trusted || !headers.has(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, if client.secure { "https" } else { "http" });
    }
    if !client.trusted || !headers.has(X_FORWARDED_HOST) {
        match host {
            Some(host) => headers.insert(X_FORWARDED_HOST, host),
            // HTTP/1.0 may name none; what a stranger claims it has asked for is not it.
            None => _ = headers.remove(X_FORWARDED_HOST),
        }
    }
}

/// Writes an address of IPv4: each request has one, and what can format anything takes its time.
fn write_ipv4(mut text: impl io::Write, ip: Ipv4Addr) -> io::Result<()> {
    for (index, part) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            text.write_all(b".")?;
        }
        text.write_all(itoa::Buffer::new().format(part).as_bytes())?;
    }
    Ok(())
}

/// The text of an address, in `text`.
fn write_ip(text: &mut [u8; LONGEST_IP], ip: IpAddr) -> &[u8] {
    let mut left = &mut text[..];
    // There is room for the longest.
    let _ = match ip {
        IpAddr::V4(ip) => write_ipv4(&mut left, ip),
        IpAddr::V6(ip) => write!(left, "{ip}"),
    };
    let left = left.len();
    &text[..LONGEST_IP - left]
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};

    use super::*;
    use crate::model::ForwardedHeaders;
    use crate::proxy::client::forwarded::Sources;
    use crate::proxy::options::forwarded_names;

    fn request(headers: &[(&str, &str)]) -> RequestHead {
        let mut request = RequestHead::new(Method::GET, b"/");
        for (name, value) in headers {
            request.headers.append(*name, value);
        }
        request
    }

    fn value<'a>(request: &'a RequestHead, name: &str) -> Option<&'a str> {
        request.headers.get(name).map(|value| std::str::from_utf8(value).unwrap())
    }

    fn client(trusted: bool, origin: Option<&str>) -> Client {
        let ip = "192.0.2.1".parse().unwrap();
        let origin = origin.map(|origin| origin.parse().unwrap());
        Client { peer: ip, ip, trusted, secure: false, origin, by_header: false }
    }

    const HOST: &[u8] = b"example.com";

    /// Forwards what is sent unless the operator says otherwise.
    fn forward(
        request: &mut RequestHead,
        client: Client,
        named_by: Option<&HeaderName>,
        host: Option<&[u8]>,
    ) {
        let sources = Sources { trusted: &[], header: named_by };
        let hop = Hop { client, sources, host, port: Some(443) };
        super::forward(request, &hop, forwarded_names(&[ForwardedHeaders::XForwarded]));
    }

    /// What is sent of each of these names where all is sent, or nothing of `X-Forwarded-*`.
    fn all_told(
        client: Client,
        headers: &[(&str, &str)],
        sent: &[ForwardedHeaders],
    ) -> Vec<String> {
        let mut request = request(headers);
        let sources = Sources { trusted: &[], header: None };
        let hop = Hop { client, sources, host: Some(HOST), port: Some(8443) };
        super::forward(&mut request, &hop, forwarded_names(sent));
        let names = ["x-real-ip", "x-forwarded-port", "x-forwarded-for", "forwarded"];
        let told = names.map(|name| value(&request, name).unwrap_or("-").to_owned());
        told.into()
    }

    #[test]
    fn what_is_switched_on_is_written_and_what_is_off_is_not_a_strangers() {
        let claims = [
            ("X-Real-IP", "1.2.3.4"),
            ("X-Forwarded-Port", "1"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("Forwarded", "for=1.2.3.4"),
        ];
        let stranger = client(false, Some("192.0.2.1"));
        let told = all_told(stranger, &claims, &ForwardedHeaders::ALL);
        let element = "for=192.0.2.1;host=example.com;proto=http";
        assert_eq!(told, ["192.0.2.1", "8443", "192.0.2.1", element]);
        assert_eq!(all_told(stranger, &claims, &[]), ["-"; 4]);
        let port = [ForwardedHeaders::XForwardedPort];
        assert_eq!(all_told(stranger, &claims, &port), ["-", "8443", "-", "-"]);
        assert_eq!(all_told(client(false, None), &claims, &[ForwardedHeaders::XRealIp]), ["-"; 4]);
    }

    #[test]
    fn the_port_is_that_of_the_proxy_in_front_where_it_speaks_of_its_connection() {
        let proxy = client(true, Some("192.0.2.9"));
        for (headers, port) in [
            (&[][..], "8443"),
            (&[("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "https")], "443"),
            (&[("X-Forwarded-Proto", "https")], "-"),
        ] {
            assert_eq!(all_told(proxy, headers, &ForwardedHeaders::ALL)[..2], ["192.0.2.9", port]);
        }
    }

    #[test]
    fn a_strangers_claims_are_replaced() {
        let claims = [
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("CF-Connecting-IP", "1.2.3.4"),
            ("True-Client-IP", "1.2.3.4"),
            ("X-Edge-Client", "1.2.3.4"),
        ];
        let mut request = request(&claims);
        let named_by = HeaderName::from_static("x-edge-client");
        let client = client(false, Some("192.0.2.1"));
        forward(&mut request, client, Some(&named_by), Some(HOST));
        assert_eq!(value(&request, "x-forwarded-for"), Some("192.0.2.1"));
        assert_eq!(value(&request, "x-forwarded-proto"), Some("http"));
        assert_eq!(value(&request, "x-forwarded-host"), Some("example.com"));
        for (name, _) in &claims[3..] {
            assert_eq!(value(&request, name), None, "{name}");
        }
    }

    #[test]
    fn a_stranger_who_names_no_host_claims_none() {
        let mut request = request(&[("X-Forwarded-Host", "evil.example")]);
        forward(&mut request, client(false, Some("192.0.2.1")), None, None);
        assert_eq!(value(&request, "x-forwarded-host"), None);
    }

    #[test]
    fn a_trusted_proxys_word_is_kept_and_added_to() {
        let mut request = request(&[
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-For", ""),
            ("X-Forwarded-For", "5.6.7.8:4711"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "example.com"),
            ("CF-Connecting-IP", "5.6.7.8"),
        ]);
        forward(&mut request, client(true, Some("5.6.7.8")), None, Some(HOST));
        assert_eq!(value(&request, "x-forwarded-for"), Some("1.2.3.4, 5.6.7.8, 192.0.2.1"));
        assert_eq!(value(&request, "x-forwarded-proto"), Some("https"));
        assert_eq!(value(&request, "x-forwarded-host"), Some("example.com"));
        assert_eq!(value(&request, "cf-connecting-ip"), Some("5.6.7.8"));
        assert_eq!(value(&request, "x-real-ip"), None);
    }

    #[test]
    fn what_names_the_client_beside_the_chain_names_the_same() {
        for (origin, real_ip) in [(Some("5.6.7.8"), Some("5.6.7.8")), (None, None)] {
            let mut request = request(&[("X-Real-IP", "9.9.9.9")]);
            forward(&mut request, client(true, origin), None, None);
            assert_eq!(value(&request, "x-real-ip"), real_ip);
        }
        let mut request = request(&[("X-Forwarded-For", "9.9.9.9")]);
        let client = Client { by_header: true, ..client(true, Some("5.6.7.8")) };
        forward(&mut request, client, None, None);
        assert_eq!(value(&request, "x-forwarded-for"), Some("5.6.7.8, 192.0.2.1"));
    }

    #[test]
    fn there_is_room_for_the_longest_address() {
        for ip in [
            "203.0.113.9",
            "::1",
            "abcd:abcd:abcd:abcd:abcd:abcd:abcd:abcd",
            "::ffff:255.255.255.255",
        ] {
            assert_eq!(write_ip(&mut [0; LONGEST_IP], ip.parse().unwrap()), ip.as_bytes());
        }
    }
}
