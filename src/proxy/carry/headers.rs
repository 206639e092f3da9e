//! Edits of request and response heads on their way through.

use http::{StatusCode, Version};

use crate::heads::names::{
    CONNECTION, CONTENT_LENGTH, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use crate::heads::{Known, RequestHead, ResponseHead, Set, text_of};

/// What a backend says about its own connection, whatever it names there.
const HOP_BY_HOP: Set = Set::of(&[CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, UPGRADE]);

const FRAMING: Set = Set::of(&[CONTENT_LENGTH, TRANSFER_ENCODING]);

/// Makes the target of what goes to a backend the origin form.
pub(crate) fn to_origin_form(request: &mut RequestHead) {
    if !matches!(request.target().first(), Some(b'/' | b'*' | b'?')) {
        let path = request.path_and_query().to_owned();
        request.set_target(path.as_bytes());
    }
}

/// Makes the response line and framing those of this hop, not of the backend's (RFC 9110 §6.2). A
/// client of HTTP/1.0 can't read chunks (RFC 9112 §6.1): without them the body ends with the
/// connection.
pub(crate) fn frame_for(client: Version, passes_trailers: bool, response: &mut ResponseHead) {
    if response.version == Version::HTTP_10 {
        response.version = Version::HTTP_11;
    }
    if client == Version::HTTP_10 {
        response.headers.remove(TRANSFER_ENCODING);
    }
    // What does not pass is not announced.
    if !passes_trailers {
        response.headers.remove(TRAILER);
    }
}

/// Takes out what a backend said about its own connection (RFC 9110 §7.6.1). An upgrade needs what it
/// says, and framing is not a backend's to hide.
pub(crate) fn strip_hop_by_hop(response: &mut ResponseHead) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let headers = &mut response.headers;
    // Most name nothing that is there: only `close`, or `keep-alive`, which goes anyway.
    let is_nominated = |name: &&str| match Known::of(name.as_bytes()) {
        Some(known) => !FRAMING.and(HOP_BY_HOP).has(known) && headers.has(known),
        None => headers.has(*name),
    };
    let options = headers.all(CONNECTION).filter_map(text_of).flat_map(|value| value.split(','));
    let nominated = options.map(str::trim).filter(is_nominated).map(str::to_owned);
    let nominated: Vec<String> = nominated.collect();
    for name in &nominated {
        headers.remove(name.as_str());
    }
    headers.remove_any(HOP_BY_HOP);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The id of a request whose client sent none: 128 bits at random, in hexadecimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId([u8; 32]);

impl RequestId {
    pub(crate) fn random() -> Self {
        let number = fastrand::u128(..).to_be_bytes();
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(number) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Says whether trailers may come behind the answer (RFC 9110 §10.1.4): over HTTP/2, where the client has
/// said so. `client` is the request as it came.
pub(crate) fn set_te(request: &mut RequestHead, client: &RequestHead) {
    request.headers.remove(TE);
    let takes_trailers = |value: &[u8]| {
        let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        options.any(|option| option.eq_ignore_ascii_case(b"trailers"))
    };
    let is_http2 = [request.version, client.version] == [Version::HTTP_2; 2];
    if is_http2 && client.headers.all(TE).any(takes_trailers) {
        request.headers.append(TE, "trailers");
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::proxy::wire::request::host_of;

    fn request(path: &str, headers: &[(&str, &str)]) -> RequestHead {
        let mut request = RequestHead::new(Method::GET, path.as_bytes());
        for (name, value) in headers {
            request.headers.append(*name, value);
        }
        request
    }

    #[test]
    fn absolute_form_becomes_origin_form() {
        let mut absolute = request("http://example.com/a?b=c", &[("Host", "example.com")]);
        assert_eq!(host_of(&absolute), Some("example.com"));
        to_origin_form(&mut absolute);
        assert_eq!(absolute.target(), b"/a?b=c");
        assert_eq!(host_of(&request("/", &[])), None);
    }

    #[test]
    fn what_a_backend_says_about_its_connection_stays_with_it() {
        let mut response = ResponseHead::new(StatusCode::OK);
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
            response.headers.append(name, value);
        }
        strip_hop_by_hop(&mut response);
        let left: Vec<_> = response.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["Content-Length", "x-end"]);
        let mut upgrade = ResponseHead::new(StatusCode::SWITCHING_PROTOCOLS);
        upgrade.headers.append(CONNECTION, "upgrade");
        upgrade.headers.append(UPGRADE, "websocket");
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
