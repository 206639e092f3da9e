//! The heads of requests as backends get them.

use bytes::BytesMut;

use crate::heads::RequestHead;
use crate::heads::names::{CONTENT_LENGTH, TRANSFER_ENCODING};

/// How the body of a request is delimited for its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// It has the length that its head says.
    Length,
    Chunked,
}

/// Says in the head how the body is delimited.
pub(super) fn frame(request: &mut RequestHead, has_body: bool) -> Body {
    if !has_body {
        return Body::None;
    }
    if request.headers.has(CONTENT_LENGTH) {
        return Body::Length;
    }
    request.headers.insert(TRANSFER_ENCODING, "chunked");
    Body::Chunked
}

/// Writes a head as it goes to a backend.
pub(super) fn write(request: &RequestHead, text: &mut BytesMut) {
    text.extend_from_slice(request.method.as_str().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(request.target());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    request.headers.write(text);
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use futures_util::FutureExt;
    use pingora::protocols::http::v1::server::HttpSession;

    use super::*;
    use crate::proxy::client::pingora_head::request_of;
    use crate::proxy::wire::strict::Check;

    /// The head as Pingora reads it; nothing where it refuses it.
    fn by_pingora(text: &[u8]) -> Option<RequestHead> {
        let mut session = HttpSession::new(Box::new(Cursor::new(text.to_vec())));
        let read = tokio::task::unconstrained(session.read_request()).now_or_never()?;
        read.ok()?.map(|_| request_of(session.req_header()))
    }

    /// Pingora has all of a name together.
    fn fields(request: &RequestHead) -> Vec<(&str, &[u8])> {
        let mut fields: Vec<_> = request.headers.iter().collect();
        fields.sort_by_key(|(name, _)| name.to_lowercase());
        fields
    }

    proptest::proptest! {
        /// What our rules let through is read as Pingora reads it, field by field.
        #[test]
        fn a_head_is_read_as_pingora_reads_it(
            text in "(\r\n)?(GET|POST|X-Y|OPTIONS) (/|/a%20b[?]c=d|/é|[*]|http://a/b|HTTP://a)\
                     HTTP/1[.][01]\r\n\
                     (Host:[ \t]?a[ ]?\r\n)?\
                     ((Content-Length: 3|X-Case:A|x-case: b,  c |Cookie: a=b; c=d|X-é: 1|E:)\r\n){0,6}\r\n",
        ) {
            let text = text.replacen("HTTP/1.", " HTTP/1.", usize::from(!text.contains(" HTTP/1.")));
            let mut check = Check::default();
            if let Ok(Some(_)) = check.advance(text.as_bytes()) {
                let own = check.into_head(text.as_bytes().into());
                let pingora = by_pingora(text.as_bytes());
                proptest::prop_assert!(pingora.is_some(), "{:?}", text);
                if let Some(pingora) = pingora {
                    proptest::prop_assert_eq!(own.version, pingora.version);
                    proptest::prop_assert_eq!(own.path_and_query(), pingora.path_and_query());
                    proptest::prop_assert_eq!(fields(&own), fields(&pingora));
                    proptest::prop_assert_eq!(own.target(), pingora.target());
                }
            }
        }
    }
}
