//! What the head of a request says.

use cookie::Cookie;
use http::{Method, Version};

use crate::heads::names::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING, UPGRADE,
    X_FORWARDED_PROTO, X_REQUEST_ID,
};
use crate::heads::{RequestHead, Scheme, is_plain, text_of};
use crate::model::{HostBuffer, Reason, normalise_host};

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
    pub(crate) fn http2(request: &RequestHead) -> Self {
        let field = |name: usize, value: usize| name + value + FIELD_OVERHEAD;
        let fields = request.headers.iter();
        let fields = fields.map(|(name, value)| field(name.len(), value.len()));
        let scheme = request.scheme().map(Scheme::as_str);
        let pseudo = [
            field(":method".len(), request.method.as_str().len()),
            field(":path".len(), request.target().len()),
            scheme.map_or(0, |scheme| field(":scheme".len(), scheme.len())),
            request.authority().map_or(0, |name| field(":authority".len(), name.len())),
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
/// form agrees (others are refused). `None` when it has none, or one that is not text.
pub(crate) fn host_of(request: &RequestHead) -> Option<&str> {
    match request.authority() {
        // What a Host header must not have (RFC 9110 §4.2.4), an authority must not either.
        Some(authority) if authority.contains('@') => None,
        Some(authority) => Some(authority),
        None => std::str::from_utf8(request.headers.get(HOST)?).ok(),
    }
}

/// The host that a request is routed by, normalised, or why it can't be.
pub(crate) fn routed_host<'a>(
    request: &RequestHead,
    buffer: &'a mut HostBuffer,
) -> Result<&'a str, Reason> {
    match host_of(request) {
        Some(host) => normalise_host(host, buffer).map_err(|_| Reason::BadHost),
        // HTTP/1.0 knows no Host; only the default domain can answer it.
        None if request.version == Version::HTTP_10 => Ok(""),
        None => Err(Reason::BadHost),
    }
}

/// The original Host of a request, as the value of a field.
pub(crate) fn original_host(request: &RequestHead) -> Option<&[u8]> {
    request.authority().map(str::as_bytes).or_else(|| request.headers.get(HOST))
}

/// Whether a request says its length once, or not at all. RFC 9110 §8.6 lets equal ones be folded;
/// backends differ. On HTTP/1 the front has looked already.
pub(crate) fn has_plain_length(request: &RequestHead) -> bool {
    let mut lengths = request.headers.all(CONTENT_LENGTH);
    match (lengths.next(), lengths.next()) {
        (Some(one), None) => !one.contains(&b','),
        (Some(_), Some(_)) => false,
        (None, _) => true,
    }
}

/// Whether a request asks to become a WebSocket (RFC 6455 §4.1): with GET, and without a body, which
/// nobody could tell from what comes after the switch. Other upgrades are not offered to backends, so
/// their requests are ordinary ones.
pub(crate) fn wants_websocket(request: &RequestHead) -> bool {
    let headers = &request.headers;
    let is_websocket = |value: &[u8]| value.eq_ignore_ascii_case(b"websocket");
    // Without it the field is for somebody before us (RFC 9110 §7.8).
    let is_upgrade = |value: &[u8]| {
        value
            .split(|byte| *byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    headers.get(UPGRADE).is_some_and(is_websocket)
        && headers.all(CONNECTION).any(is_upgrade)
        && request.version == Version::HTTP_11
        && request.method == Method::GET
        && !headers.has(TRANSFER_ENCODING)
        && headers.get(CONTENT_LENGTH).is_none_or(|length| length == b"0")
}

/// Whether a request is a call of gRPC. gRPC-Web is not: it wants trailers in the body.
pub(crate) fn is_grpc(request: &RequestHead) -> bool {
    let content_type = request.headers.get(CONTENT_TYPE);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    request.version == Version::HTTP_2
        && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Where a CA looks for the answer to http-01 (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The token of a request for the answer to a challenge: one segment of base64url, and nothing that a
/// server could read as another path. What is a challenge passes where others are stopped.
pub(crate) fn challenge_token(request: &RequestHead) -> Option<&str> {
    let is_plain = matches!(request.method, Method::GET | Method::HEAD);
    let token = request.path().strip_prefix(CHALLENGES)?;
    let is_token = token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (is_plain && is_token && !token.is_empty() && request.query().is_none()).then_some(token)
}

/// The scheme that a proxy in front says the client used.
pub(crate) fn forwarded_proto(request: &RequestHead) -> Option<&str> {
    request.headers.text(X_FORWARDED_PROTO)
}

/// The cookies of that name that the client sent (RFC 6265 §5.4).
pub(crate) fn cookies<'r>(
    request: &'r RequestHead,
    name: &'r str,
) -> impl Iterator<Item = Cookie<'r>> {
    let cookies = request.headers.all(COOKIE).filter_map(text_of).flat_map(Cookie::split_parse);
    cookies.filter_map(Result::ok).filter(move |one| one.name() == name)
}

/// The request id that a client sent, if it is fit to be logged and passed on.
pub(crate) fn usable_request_id(request: &RequestHead) -> Option<&str> {
    let id = request.headers.text(X_REQUEST_ID)?;
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic())).then_some(id)
}

/// Whether a field and another one are the same variable to backends that know headers as CGI does
/// (RFC 3875 §4.1.18), which has `_` for `-`; some servers have it for every other sign too.
pub(crate) fn is_twin(name: &str, other: &str) -> bool {
    let plain = |byte: u8| if is_plain(byte) { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == other.len()
        && name.bytes().zip(other.bytes()).all(|(one, other)| plain(one) == plain(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_said_once() {
        for (lengths, plain) in
            [(&[][..], true), (&["3"], true), (&["3, 3"], false), (&["3", "3"], false)]
        {
            let mut request = RequestHead::new(Method::POST, b"/");
            for length in lengths {
                request.headers.append(CONTENT_LENGTH, length);
            }
            assert_eq!(has_plain_length(&request), plain, "{lengths:?}");
        }
    }

    #[test]
    fn a_challenge_is_one_segment_of_base64url_and_nothing_else() {
        let token = |method: Method, target: &str| {
            let request = RequestHead::new(method, target.as_bytes());
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
            let mut request = RequestHead::new(Method::POST, b"/");
            request.version = version;
            request.headers.insert(CONTENT_TYPE, content_type);
            assert_eq!(is_grpc(&request), expected, "{content_type}");
        }
    }

    #[test]
    fn a_head_of_http2_is_as_large_as_the_standard_says() {
        let mut request = RequestHead::new(Method::GET, b"/ab");
        request.headers.append("x-a", "12345");
        request.headers.append("x-a", "");
        // `:method: GET`, `:path: /ab` and the two fields.
        let head = (7 + 3 + 32) + (5 + 3 + 32) + (3 + 5 + 32) + (3 + 32);
        assert_eq!(Wire::http2(&request), Wire::Http2 { head });
    }
}
