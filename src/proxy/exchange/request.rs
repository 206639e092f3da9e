//! The heads of requests: as clients send them, and as backends get them.

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use memchr::memchr;
use pingora::http::{RequestHeader, header_value_from_raw};
use pingora::{Error, ErrorType, Result};

/// Room for what is added on the way: a map that grows makes all of its places anew.
const ADDED: usize = 8;

/// Header lines of most heads.
const FEW: usize = 24;

/// Parses a head that `strict` has accepted; `count` is the number of its header lines.
///
/// # Errors
/// When its target or a field is something that the `http` crate can't hold.
pub(super) fn parse(head: &Bytes, count: usize) -> Result<RequestHeader> {
    let bad = |words| Error::explain(ErrorType::InvalidHTTPHeader, words).into_down();
    // RFC 9112 §2.2 has one empty line before a request ignored.
    let start = if head.starts_with(b"\r\n") { 2 } else { 0 };
    let length = memchr(b'\n', &head[start..]).ok_or_else(|| bad("no request line"))?;
    let line = head[start..start + length].trim_ascii_end();
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(bad("no request line"));
    };
    let rest = &head[start + length + 1..];
    let (mut few, mut many);
    let fields = if count <= FEW {
        few = [httparse::EMPTY_HEADER; FEW];
        &mut few[..]
    } else {
        many = vec![httparse::EMPTY_HEADER; count];
        &mut many[..]
    };
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(rest, fields) else {
        return Err(bad("no header lines"));
    };
    let mut request = RequestHeader::build(method, target, Some(fields.len() + ADDED))?;
    request.set_version(match version {
        b"HTTP/1.0" => Version::HTTP_10,
        _ => Version::HTTP_11,
    });
    for field in fields {
        let name = head.slice_ref(field.name.as_bytes());
        request.append_header(name, header_value_from_raw(head.slice_ref(field.value)))?;
    }
    Ok(request)
}

/// How the body of a request is delimited for its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// It has the length that its head says.
    Length,
    Chunked,
}

/// Says in the head how the body is delimited.
///
/// # Errors
/// Never: what is written can be held.
pub(super) fn frame(request: &mut RequestHeader, has_body: bool) -> Result<Body> {
    if !has_body {
        return Ok(Body::None);
    }
    if request.headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(Body::Length);
    }
    request.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    Ok(Body::Chunked)
}

/// Writes a head as it goes to a backend.
pub(super) fn write(request: &RequestHeader, text: &mut BytesMut) {
    text.extend_from_slice(request.method.as_str().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(request.raw_path());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    request.header_to_h1_wire(text);
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use futures_util::FutureExt;
    use pingora::protocols::http::v1::server::HttpSession;

    use super::*;
    use crate::proxy::wire::strict::Check;

    /// The head as Pingora reads it; nothing where it refuses it.
    fn by_pingora(text: &[u8]) -> Option<RequestHeader> {
        let mut session = HttpSession::new(Box::new(Cursor::new(text.to_vec())));
        let read = tokio::task::unconstrained(session.read_request()).now_or_never()?;
        read.ok()?.map(|_| session.req_header().clone())
    }

    fn written(request: &RequestHeader) -> BytesMut {
        let mut text = BytesMut::new();
        write(request, &mut text);
        text
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
                let own = parse(&Bytes::copy_from_slice(text.as_bytes()), check.measures().1).ok();
                let pingora = by_pingora(text.as_bytes());
                proptest::prop_assert_eq!(own.is_some(), pingora.is_some(), "{:?}", text);
                if let (Some(own), Some(pingora)) = (own, pingora) {
                    proptest::prop_assert_eq!(own.version, pingora.version);
                    proptest::prop_assert_eq!(written(&own), written(&pingora));
                }
            }
        }
    }
}
