//! What the head of a request says.

use cookie::Cookie;
use http::{HeaderName, HeaderValue, Method, Version, header};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr, Result};

use crate::model::{HostBuffer, Reason, normalise_host};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What RFC 9113 §6.5.2 adds for each field, so that many small ones count as what they cost.
const FIELD_OVERHEAD: usize = 32;

/// How a request came, with the size of its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// In bytes, as the front has read it.
    Http1 { head: usize },
    /// As RFC 9113 §6.5.2 has it, whatever HPACK made of it.
    Http2 { head: usize },
}

impl Wire {
    pub(crate) fn http2(request: &RequestHeader) -> Self {
        let field = |name: usize, value: usize| name + value + FIELD_OVERHEAD;
        let fields = request.headers.iter();
        let fields = fields.map(|(name, value)| field(name.as_str().len(), value.len()));
        let uri = &request.uri;
        let pseudo = [
            field(":method".len(), request.method.as_str().len()),
            field(":path".len(), request.raw_path().len()),
            uri.scheme_str().map_or(0, |scheme| field(":scheme".len(), scheme.len())),
            uri.authority().map_or(0, |name| field(":authority".len(), name.as_str().len())),
        ];
        Self::Http2 { head: fields.chain(pseudo).sum() }
    }

    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 { .. })
    }

    /// The size of the head.
    pub(crate) fn head(self) -> usize {
        match self {
            Self::Http1 { head } | Self::Http2 { head } => head,
        }
    }
}

/// The host that a request is for: its `:authority`, else its Host header, with which an absolute
/// form agrees (Pingora refuses others). `None` when it has none, or one that is not text.
pub(crate) fn host_of(request: &RequestHeader) -> Option<&str> {
    match request.uri.authority() {
        // What a Host header must not have (RFC 9110 §4.2.4), an authority must not either.
        Some(authority) if authority.as_str().contains('@') => None,
        Some(authority) => Some(authority.as_str()),
        None => std::str::from_utf8(request.headers.get(header::HOST)?.as_bytes()).ok(),
    }
}

/// The host that a request is routed by, normalised, or why it can't be.
pub(crate) fn routed_host<'a>(
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
pub(crate) fn absolute_authority(request: &RequestHeader) -> Option<&[u8]> {
    let target = request.raw_path();
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (own, rest) = target.split_at_checked(scheme.len())?;
        own.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    rest.split(|byte| matches!(byte, b'/' | b'?')).next()
}

/// The original Host of a request, as a header value.
pub(crate) fn original_host(request: &RequestHeader) -> Result<Option<HeaderValue>> {
    match request.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str())
            .or_err(ErrorType::InvalidHTTPHeader, "authority")
            .map(Some),
        None => Ok(request.headers.get(header::HOST).cloned()),
    }
}

/// Whether a request says its length once, or not at all. RFC 9110 §8.6 lets equal ones be folded;
/// backends differ. On HTTP/1 the front has looked already.
pub(crate) fn has_plain_length(request: &RequestHeader) -> bool {
    let mut lengths = request.headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (Some(one), None) => !one.as_bytes().contains(&b','),
        (Some(_), Some(_)) => false,
        (None, _) => true,
    }
}

/// Whether a request asks to become a WebSocket (RFC 6455 §4.1): with GET, and without a body, which
/// nobody could tell from what comes after the switch. Other upgrades are not offered to backends, so
/// their requests are ordinary ones.
pub(crate) fn wants_websocket(request: &RequestHeader) -> bool {
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

/// Whether a request is a call of gRPC. gRPC-Web is not: it wants trailers in the body.
pub(crate) fn is_grpc(request: &RequestHeader) -> bool {
    let content_type = request.headers.get(header::CONTENT_TYPE);
    let rest = content_type.and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"));
    request.version == Version::HTTP_2
        && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Where a CA looks for the answer to http-01 (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The token of a request for the answer to a challenge: one segment of base64url, and nothing that a
/// server could read as another path. What is a challenge passes where others are stopped.
pub(crate) fn challenge_token(request: &RequestHeader) -> Option<&str> {
    let is_plain = matches!(request.method, Method::GET | Method::HEAD);
    let token = request.uri.path().strip_prefix(CHALLENGES)?;
    let is_token = token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (is_plain && is_token && !token.is_empty() && request.uri.query().is_none()).then_some(token)
}

/// The scheme that a proxy in front says the client used.
pub(crate) fn forwarded_proto(request: &RequestHeader) -> Option<&str> {
    request.headers.get(X_FORWARDED_PROTO)?.to_str().ok()
}

/// The cookies of that name that the client sent (RFC 6265 §5.4).
pub(crate) fn cookies<'r>(
    request: &'r RequestHeader,
    name: &'r str,
) -> impl Iterator<Item = Cookie<'r>> {
    let headers = request.headers.get_all(header::COOKIE).iter();
    let cookies = headers.filter_map(|value| value.to_str().ok()).flat_map(Cookie::split_parse);
    cookies.filter_map(std::result::Result::ok).filter(move |one| one.name() == name)
}

/// The request id that a client sent, if it is fit to be logged and passed on.
pub(crate) fn usable_request_id(request: &RequestHeader) -> Option<&str> {
    let id = request.headers.get(X_REQUEST_ID)?.to_str().ok()?;
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic())).then_some(id)
}

/// Whether a field and another one are the same variable to backends that know headers as CGI does
/// (RFC 3875 §4.1.18), which has `_` for `-`; some servers have it for every other sign too.
pub(crate) fn is_twin(name: &str, other: &str) -> bool {
    let plain = |byte: u8| if is_plain(byte) { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == other.len()
        && name.bytes().zip(other.bytes()).all(|(one, other)| plain(one) == plain(other))
}

/// What CGI leaves as it is, and `-`, for which it has `_`.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_said_once() {
        for (lengths, plain) in
            [(&[][..], true), (&["3"], true), (&["3, 3"], false), (&["3", "3"], false)]
        {
            let headers: Vec<_> = lengths.iter().map(|l| ("Content-Length", *l)).collect();
            let mut request = RequestHeader::build("POST", b"/", None).unwrap();
            for (name, value) in headers {
                request.append_header(name, value).unwrap();
            }
            assert_eq!(has_plain_length(&request), plain, "{lengths:?}");
        }
    }

    #[test]
    fn a_challenge_is_one_segment_of_base64url_and_nothing_else() {
        let token = |method: Method, target: &str| {
            let request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
            challenge_token(&request).map(str::to_owned)
        };
        let path = |rest: &str| format!("/.well-known/acme-challenge/{rest}");
        assert_eq!(token(Method::GET, &path("aZ09-_")).as_deref(), Some("aZ09-_"));
        assert_eq!(token(Method::HEAD, &path("x")).as_deref(), Some("x"));
        for rest in [
            "",
            "../../secret",
            "..",
            ".",
            "a/b",
            "a/",
            "/a",
            "%2e%2e%2fsecret",
            "a%2fb",
            "a;b",
            "..;",
            "a\\b",
            "a?b",
            "a?",
            "é",
            "a=",
            "a.b",
        ] {
            assert_eq!(token(Method::GET, &path(rest)), None, "{rest}");
        }
        assert_eq!(token(Method::POST, &path("x")), None);
        assert_eq!(token(Method::GET, "//.well-known/acme-challenge/x"), None);
        assert_eq!(token(Method::GET, "/x/../.well-known/acme-challenge/x"), None);
    }

    #[test]
    fn calls_are_told_from_other_requests() {
        for (version, content_type, expected) in [
            (Version::HTTP_2, "application/grpc", true),
            (Version::HTTP_2, "application/grpc+proto", true),
            (Version::HTTP_2, "application/grpc;charset=x", true),
            (Version::HTTP_2, "application/grpc-web", false),
            (Version::HTTP_2, "application/json", false),
            (Version::HTTP_11, "application/grpc", false),
        ] {
            let mut request = RequestHeader::build("POST", b"/", None).unwrap();
            request.set_version(version);
            request.insert_header(header::CONTENT_TYPE, content_type).unwrap();
            assert_eq!(is_grpc(&request), expected, "{content_type}");
        }
    }

    #[test]
    fn a_head_of_http2_is_as_large_as_the_standard_says() {
        let mut request = RequestHeader::build("GET", b"/ab", None).unwrap();
        request.append_header("x-a", "12345").unwrap();
        request.append_header("x-a", "").unwrap();
        // `:method: GET`, `:path: /ab` and the two fields.
        let head = (7 + 3 + 32) + (5 + 3 + 32) + (3 + 5 + 32) + (3 + 32);
        assert_eq!(Wire::http2(&request), Wire::Http2 { head });
    }
}
