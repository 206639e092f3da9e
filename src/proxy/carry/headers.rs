//! Edits of request and response heads on their way through.

use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

// Names that each request gets. Of text that is static Pingora makes no copy, of a `HeaderName` it does.
pub(crate) const REQUEST_ID: &str = "x-request-id";

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Makes the target of what goes to a backend the origin form: Pingora keeps an absolute one as it
/// came, with only its path parsed.
pub(crate) fn to_origin_form(request: &mut RequestHeader) -> Result<()> {
    if !matches!(request.raw_path().first(), Some(b'/' | b'*' | b'?')) {
        let path = request.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        request.set_raw_path(path.as_bytes())?;
    }
    Ok(())
}

/// Makes the response line and framing those of this hop, not of the backend's (RFC 9110 §6.2). A
/// client of HTTP/1.0 can't read chunks (RFC 9112 §6.1): without them the body ends with the
/// connection.
pub(crate) fn frame_for(client: Version, passes_trailers: bool, response: &mut ResponseHeader) {
    if response.version == Version::HTTP_10 {
        response.set_version(Version::HTTP_11);
    }
    if client == Version::HTTP_10 {
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    // What does not pass is not announced.
    if !passes_trailers {
        response.remove_header(&header::TRAILER);
    }
}

/// Takes out what a backend said about its own connection (RFC 9110 §7.6.1). Pingora does so for
/// requests only. An upgrade needs what it says, and framing is not a backend's to hide.
pub(crate) fn strip_hop_by_hop(response: &mut ResponseHeader) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    if response.headers.contains_key(header::CONNECTION) {
        let nominated: Vec<HeaderName> = response
            .headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .filter(|name| *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING)
            .collect();
        for name in &nominated {
            response.remove_header(name);
        }
        response.remove_header(&header::CONNECTION);
    }
    for name in [&KEEP_ALIVE, &PROXY_CONNECTION, &header::TE, &header::UPGRADE] {
        response.remove_header(name);
    }
}

/// The id of a request whose client sent none: 128 bits at random, in hexadecimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId([u8; 32]);

impl RequestId {
    pub(crate) fn random() -> Self {
        let number = fastrand::u128(..).to_be_bytes();
        let digit = |index: usize| {
            let byte = number[index / 2];
            b"0123456789abcdef"
                [usize::from(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 })]
        };
        Self(std::array::from_fn(digit))
    }

    pub(crate) fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Says whether trailers may come behind the answer (RFC 9110 §10.1.4): over HTTP/2, where the client has
/// said so. `client` is the request as it came.
pub(crate) fn set_te(request: &mut RequestHeader, client: &RequestHeader) {
    request.remove_header(&header::TE);
    let takes_trailers = |value: &HeaderValue| {
        let options = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        options.into_iter().any(|option| option.eq_ignore_ascii_case(b"trailers"))
    };
    let is_http2 = [request.version, client.version] == [Version::HTTP_2; 2];
    if is_http2 && client.headers.get_all(header::TE).iter().any(takes_trailers) {
        let _ = request.insert_header(header::TE, HeaderValue::from_static("trailers"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::wire::request::host_of;

    fn request(path: &str, headers: &[(&str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
        for (name, value) in headers {
            request.append_header((*name).to_owned(), *value).unwrap();
        }
        request
    }

    #[test]
    fn absolute_form_becomes_origin_form() {
        let mut absolute = request("http://example.com/a?b=c", &[("Host", "example.com")]);
        assert_eq!(host_of(&absolute), Some("example.com"));
        to_origin_form(&mut absolute).unwrap();
        assert_eq!(absolute.raw_path(), b"/a?b=c");
        assert_eq!(host_of(&request("/", &[])), None);
    }

    #[test]
    fn what_a_backend_says_about_its_connection_stays_with_it() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("connection", "content-length"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("content-length", "2"),
            ("x-end", "1"),
        ] {
            response.append_header(name, value).unwrap();
        }
        strip_hop_by_hop(&mut response);
        let left: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length", "x-end"]);
        let mut upgrade = ResponseHeader::build(101, None).unwrap();
        upgrade.append_header("connection", "upgrade").unwrap();
        upgrade.append_header("upgrade", "websocket").unwrap();
        strip_hop_by_hop(&mut upgrade);
        assert_eq!(upgrade.headers.len(), 2);
    }

    #[test]
    fn a_request_id_is_hexadecimal_and_no_other_has_it() {
        let [one, other] = [RequestId::random(), RequestId::random()];
        assert!(one.as_str().bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        assert_eq!(one.as_str().len(), 32);
        assert_ne!(one.as_str(), other.as_str());
    }
}
