//! Edits of request and response heads on their way through.

use cookie::Cookie;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType, OrErr, Result};

use crate::model::Reason;
use crate::model::{HostBuffer, normalise_host};

// Names that each request gets. Of text that is static Pingora makes no copy, of a `HeaderName` it does.
pub(super) const REQUEST_ID: &str = "x-request-id";

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The host that a request is for: its `:authority`, else its Host header, with which an absolute
/// form agrees (Pingora refuses others). Nothing when it has none, or one that is not text.
pub(super) fn host_of(request: &RequestHeader) -> Option<&str> {
    match request.uri.authority() {
        // What a Host header must not have (RFC 9110 §4.2.4), an authority must not either.
        Some(authority) if authority.as_str().contains('@') => None,
        Some(authority) => Some(authority.as_str()),
        None => std::str::from_utf8(request.headers.get(header::HOST)?.as_bytes()).ok(),
    }
}

/// The host that a request is routed by, normalised, or why it can't be.
pub(super) fn routed_host<'a>(
    request: &RequestHeader,
    buffer: &'a mut HostBuffer,
) -> std::result::Result<&'a str, Reason> {
    match host_of(request) {
        Some(host) => normalise_host(host, buffer).map_err(|_| Reason::BadHost),
        // HTTP/1.0 knows no Host; only the default domain can answer it.
        None if request.version == Version::HTTP_10 => Ok(""),
        None => Err(Reason::BadHost),
    }
}

/// The authority of a target in absolute form, as it was sent. Of such a target of HTTP/1 Pingora parses
/// only the path.
pub(super) fn absolute_authority(request: &RequestHeader) -> Option<&[u8]> {
    let target = request.raw_path();
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (own, rest) = target.split_at_checked(scheme.len())?;
        own.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    rest.split(|byte| matches!(byte, b'/' | b'?')).next()
}

/// Makes the target of what goes to a backend the origin form: Pingora keeps an absolute one as it
/// came, with only its path parsed.
pub(super) fn to_origin_form(request: &mut RequestHeader) -> Result<()> {
    if !matches!(request.raw_path().first(), Some(b'/' | b'*' | b'?')) {
        let path = request.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        request.set_raw_path(path.as_bytes())?;
    }
    Ok(())
}

/// Whether a request says its length once, or not at all. RFC 9110 §8.6 lets equal ones be folded;
/// backends differ. On HTTP/1 the front has looked already.
pub(super) fn has_plain_length(request: &RequestHeader) -> bool {
    let mut lengths = request.headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (Some(one), None) => !one.as_bytes().contains(&b','),
        (Some(_), Some(_)) => false,
        (None, _) => true,
    }
}

/// Makes the response line and framing those of this hop, not of the backend's (RFC 9110 §6.2). A
/// client of HTTP/1.0 can't read chunks (RFC 9112 §6.1): without them the body ends with the
/// connection.
pub(super) fn frame_for(client: Version, response: &mut ResponseHeader) {
    if response.version == Version::HTTP_10 {
        response.set_version(Version::HTTP_11);
    }
    if client == Version::HTTP_10 {
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    // Trailers pass over HTTP/2 alone; so does their announcement.
    if client != Version::HTTP_2 {
        response.remove_header(&header::TRAILER);
    }
}

/// Takes out what a backend said about its own connection (RFC 9110 §7.6.1). Pingora does so for
/// requests only. An upgrade needs what it says, and framing is not a backend's to hide.
pub(super) fn strip_hop_by_hop(response: &mut ResponseHeader) {
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
    response.remove_header(&KEEP_ALIVE);
    response.remove_header(&PROXY_CONNECTION);
}

/// The cookies of that name that the client sent (RFC 6265 §5.4).
pub(super) fn cookies<'r>(
    request: &'r RequestHeader,
    name: &'r str,
) -> impl Iterator<Item = Cookie<'r>> {
    let headers = request.headers.get_all(header::COOKIE).iter();
    let cookies = headers.filter_map(|value| value.to_str().ok()).flat_map(Cookie::split_parse);
    cookies.filter_map(std::result::Result::ok).filter(move |one| one.name() == name)
}

/// Whether a request asks to become a WebSocket (RFC 6455 §4.1): with GET, and without a body, which
/// nobody could tell from what comes after the switch. Other upgrades are not offered to backends, so
/// their requests are ordinary ones.
pub(super) fn wants_websocket(request: &RequestHeader) -> bool {
    let headers = &request.headers;
    let is_websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    // Without it the field is for somebody before us (RFC 9110 §7.8).
    let is_upgrade = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    headers.get(header::UPGRADE).is_some_and(is_websocket)
        && headers.get_all(header::CONNECTION).iter().any(is_upgrade)
        && request.version == Version::HTTP_11
        && request.method == Method::GET
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0")
}

/// The id of a request whose client sent none: 128 bits at random, in hexadecimal.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId([u8; 32]);

impl RequestId {
    pub(super) fn random() -> Self {
        let number = fastrand::u128(..).to_be_bytes();
        let digit = |index: usize| {
            let byte = number[index / 2];
            b"0123456789abcdef"
                [usize::from(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 })]
        };
        Self(std::array::from_fn(digit))
    }

    pub(super) fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The request id that a client sent, if it is fit to be logged and passed on.
pub(super) fn usable_request_id(request: &RequestHeader) -> Option<&str> {
    let id = request.headers.get(X_REQUEST_ID)?.to_str().ok()?;
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic())).then_some(id)
}

/// Takes out what this hop can't do (RFC 9110 §10.1.4). `client` is the version in which the request came.
pub(super) fn remove_te(request: &mut RequestHeader, client: Version) {
    // No trailers pass from HTTP/1 or to it; HTTP/2 has no other use of this.
    if client != Version::HTTP_2 {
        request.remove_header(&header::TE);
    }
}

/// The original Host of a request, as a header value.
pub(super) fn original_host(request: &RequestHeader) -> Result<Option<HeaderValue>> {
    match request.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str())
            .or_err(ErrorType::InvalidHTTPHeader, "authority")
            .map(Some),
        None => Ok(request.headers.get(header::HOST).cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_length_is_said_once() {
        for (lengths, plain) in
            [(&[][..], true), (&["3"], true), (&["3, 3"], false), (&["3", "3"], false)]
        {
            let headers: Vec<_> = lengths.iter().map(|l| ("Content-Length", *l)).collect();
            assert_eq!(has_plain_length(&request("/", &headers)), plain, "{lengths:?}");
        }
    }
}
