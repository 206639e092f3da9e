//! What a backend hears of the client: `X-Forwarded-*` and the like. What strangers claim about others
//! is replaced; a trusted proxy's word is kept and added to.

use std::io::Write as _;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr, Result};

use crate::proxy::client::forwarded::{FORWARDED_FOR, UNKNOWN, chain, short_chain};
use crate::proxy::client::sender::Client;
use crate::proxy::wire::request::X_FORWARDED_PROTO;

// Names that each request gets. Of text that is static Pingora makes no copy, of a `HeaderName` it does.
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static(FORWARDED_HOST);
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The longest text of an address: one of IPv6 that ends like one of IPv4.
const LONGEST_IP: usize = 45;

/// Whether a field says who the client is, or what it asked for, and only a trusted proxy may have set
/// it. Those that each request gets are replaced, and not here.
fn is_claim(name: &str) -> bool {
    matches!(
        name,
        "forwarded"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-forwarded-server"
            | "x-forwarded-ssl"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-envoy-external-address"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "cf-connecting-ipv6"
            | "cf-pseudo-ipv4"
            | "fastly-client-ip"
    )
}

/// Whether a field is the proxy's own to write, for what backends make of it.
pub(crate) fn is_own(name: &str) -> bool {
    is_claim(name)
        || matches!(name, FORWARDED_FOR | FORWARDED_PROTO | FORWARDED_HOST | "x-request-id")
}

/// Writes for the backend who the client is and what it asked for. `named_by` is the header that names clients
/// where the operator has said so.
pub(crate) fn forward(
    request: &mut RequestHeader,
    client: Client,
    named_by: Option<&HeaderName>,
    host: Option<&HeaderValue>,
) -> Result<()> {
    let mut text = [0; LONGEST_IP];
    let ip = write_ip(&mut text, client.ip);
    let chain = if client.trusted {
        if request.headers.contains_key(X_REAL_IP) {
            match client.origin {
                Some(origin) => request.insert_header(X_REAL_IP, origin.to_string())?,
                None => _ = request.remove_header(&X_REAL_IP),
            }
        }
        let chain =
            if client.by_header { short_chain(client.origin, ip) } else { chain(request, ip) };
        HeaderValue::from_maybe_shared(Bytes::from(chain))
    } else {
        let is_claim = |name: &&HeaderName| is_claim(name.as_str()) || Some(*name) == named_by;
        // One look at the names that are there, in place of one for each that should not be.
        if request.headers.keys().any(|name| is_claim(&name)) {
            let claims: Vec<_> = request.headers.keys().filter(is_claim).cloned().collect();
            for name in &claims {
                request.remove_header(name);
            }
        }
        match client.origin {
            Some(_) => HeaderValue::from_bytes(ip),
            None => Ok(HeaderValue::from_static(UNKNOWN)),
        }
    };
    let chain = chain.or_err(ErrorType::InvalidHTTPHeader, FORWARDED_FOR)?;
    request.insert_header(FORWARDED_FOR, chain)?;
    if !client.trusted || !request.headers.contains_key(X_FORWARDED_PROTO) {
        let scheme = if client.secure { "https" } else { "http" };
        request.insert_header(FORWARDED_PROTO, HeaderValue::from_static(scheme))?;
    }
    if (!client.trusted || !request.headers.contains_key(X_FORWARDED_HOST))
        && let Some(host) = host
    {
        request.insert_header(FORWARDED_HOST, host.clone())?;
    }
    Ok(())
}

/// The text of an address, in `text`.
fn write_ip(text: &mut [u8; LONGEST_IP], ip: IpAddr) -> &[u8] {
    let mut left = &mut text[..];
    // There is room for the longest.
    let _ = write!(left, "{ip}");
    let left = left.len();
    &text[..LONGEST_IP - left]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in headers {
            request.append_header((*name).to_owned(), *value).unwrap();
        }
        request
    }

    fn value<'a>(request: &'a RequestHeader, name: &str) -> Option<&'a str> {
        request.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn client(trusted: bool, origin: Option<&str>) -> Client {
        let ip = "192.0.2.1".parse().unwrap();
        let origin = origin.map(|origin| origin.parse().unwrap());
        Client { peer: ip, ip, trusted, secure: false, origin, by_header: false }
    }

    const HOST: HeaderValue = HeaderValue::from_static("example.com");

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
        forward(&mut request, client, Some(&named_by), Some(&HOST)).unwrap();
        assert_eq!(value(&request, "x-forwarded-for"), Some("192.0.2.1"));
        assert_eq!(value(&request, "x-forwarded-proto"), Some("http"));
        assert_eq!(value(&request, "x-forwarded-host"), Some("example.com"));
        for (name, _) in &claims[3..] {
            assert_eq!(value(&request, name), None, "{name}");
        }
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
        forward(&mut request, client(true, Some("5.6.7.8")), None, Some(&HOST)).unwrap();
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
            forward(&mut request, client(true, origin), None, None).unwrap();
            assert_eq!(value(&request, "x-real-ip"), real_ip);
        }
        let mut request = request(&[("X-Forwarded-For", "9.9.9.9")]);
        let client = Client { by_header: true, ..client(true, Some("5.6.7.8")) };
        forward(&mut request, client, None, None).unwrap();
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
