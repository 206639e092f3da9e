//! The heads of answers: as backends send them, and as clients of HTTP/1 get them.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{Method, Version, header};
use memchr::memmem;
use pingora::http::{RequestHeader, ResponseHeader, header_value_from_raw};
use pingora::{Error, Result};

use super::errors::malformed_answer;
use super::fields::has_no_body;
use super::framing::Framing;
use crate::proxy::wire::body::Incoming;

/// More header lines than these no backend needs.
const MAX_FIELDS: usize = 256;

/// Room for what is added on the way.
const ADDED: usize = 4;

/// A head that is larger is none.
const MAX_HEAD: usize = 128 * 1024;

/// A head up to this size is parsed after each read, so that what is not HTTP is refused at once.
const SMALL: usize = 4 * 1024;

/// Takes the head of an answer out of what was read, once it is whole.
///
/// # Errors
/// When it is none.
pub(super) fn take(read: &mut BytesMut) -> Result<Option<ResponseHeader>> {
    let may_be_whole = || memmem::find(read, b"\n\r\n").or_else(|| memmem::find(read, b"\n\n"));
    let is_worth_it = read.len() <= SMALL || read.len() > MAX_HEAD || may_be_whole().is_some();
    if read.is_empty() || !is_worth_it {
        return Ok(None);
    }
    let text = std::mem::take(read).freeze();
    match parse(&text).map_err(Error::into_up)? {
        Some((head, length)) => {
            read.extend_from_slice(&text[length..]);
            Ok(Some(head))
        }
        None if text.len() <= MAX_HEAD => {
            *read = text.into();
            Ok(None)
        }
        None => Err(malformed_answer(&"its head is larger than 128 KiB")),
    }
}

/// The head at the beginning of a text, and its length; nothing while it is not whole.
fn parse(text: &Bytes) -> Result<Option<(ResponseHeader, usize)>> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let length = match rules().parse_response_with_uninit_headers(&mut parsed, text, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed_answer(&error)),
    };
    let count = parsed.headers.len();
    let mut head = ResponseHeader::build(parsed.code.unwrap_or_default(), Some(count + ADDED))?;
    head.set_version(if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 });
    head.set_reason_phrase(parsed.reason)?;
    for field in &*parsed.headers {
        let name = text.slice_ref(field.name.as_bytes());
        head.append_header(name, header_value_from_raw(text.slice_ref(field.value)))?;
    }
    // RFC 9112 §6.3: the coding counts.
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        head.remove_header(&header::CONTENT_LENGTH);
    }
    Ok(Some((head, length)))
}

/// What is forgiven to backends: what older ones do, and nobody can read in two ways.
fn rules() -> httparse::ParserConfig {
    let mut rules = httparse::ParserConfig::default();
    rules.allow_spaces_after_header_name_in_responses(true);
    rules.allow_obsolete_multiline_headers_in_responses(true);
    rules
}

/// The body behind the head of an answer (RFC 9112 §6.3).
pub(super) fn body_of(method: &Method, head: &ResponseHeader) -> Incoming {
    if has_no_body(method, head) {
        return Incoming::none();
    }
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        return Incoming::chunked_by_backend();
    }
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or(Incoming::UntilClose, Incoming::Length)
}

/// How the body behind a head is delimited for a client of HTTP/1, which the head then says.
///
/// # Errors
/// When its length is none.
pub(super) fn frame(request: &RequestHeader, head: &mut ResponseHeader) -> Result<Framing> {
    if has_no_body(&request.method, head) {
        return Ok(Framing::None);
    }
    if let Some(length) = head.headers.get(header::CONTENT_LENGTH) {
        let length = length.to_str().ok().and_then(|length| length.parse().ok());
        let length = length.ok_or_else(|| malformed_answer(&"its length is none"))?;
        head.remove_header(&header::TRANSFER_ENCODING);
        return Ok(Framing::Length(length));
    }
    // It can't read chunks (RFC 9112 §6.1).
    if request.version == Version::HTTP_10 {
        head.remove_header(&header::TRANSFER_ENCODING);
        return Ok(Framing::UntilClose);
    }
    head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    Ok(Framing::Chunked)
}

/// Writes a head as a client of HTTP/1 gets it.
pub(super) fn write(head: &ResponseHeader, text: &mut BytesMut) {
    let version: &[u8] = if head.version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
    text.extend_from_slice(version);
    text.extend_from_slice(head.status.as_str().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    text.extend_from_slice(b"\r\n");
    head.header_to_h1_wire(text);
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_once_it_is_whole() {
        let text = b"HTTP/1.1 200 Fine\r\nX-Case: a\r\nx-case: b\r\nContent-Length: 5\r\n\r\nhello";
        let mut read = BytesMut::new();
        for byte in &text[..text.len() - 6] {
            read.extend_from_slice(&[*byte]);
            assert!(take(&mut read).expect("nothing is wrong").is_none());
        }
        read.extend_from_slice(&text[text.len() - 6..]);
        let head = take(&mut read).expect("nothing is wrong").expect("it is whole");
        assert_eq!(&read[..], b"hello");
        assert_eq!((head.status.as_u16(), head.get_reason_phrase()), (200, Some("Fine")));
        assert_eq!(head.headers.get_all("x-case").iter().count(), 2);
        let mut wire = Vec::new();
        head.header_to_h1_wire(&mut wire);
        assert!(wire.starts_with(b"X-Case: a\r\nx-case: b\r\n"), "{}", wire.escape_ascii());
        assert!(matches!(body_of(&Method::GET, &head), Incoming::Length(5)));
        assert!(matches!(body_of(&Method::HEAD, &head), Incoming::Length(0)));
    }

    #[test]
    fn what_is_no_head_is_told_at_once() {
        for text in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"\x15\x03\x01",
            b"HTTP/1.1 20 OK\r\n\r\n",
        ] {
            assert!(take(&mut text.into()).is_err(), "{}", text.escape_ascii());
        }
    }

    /// What is read of bytes that come in pieces of this size: a head, nothing yet, or a fault.
    fn read(bytes: &[u8], size: usize) -> Result<Option<(ResponseHeader, usize)>> {
        let mut read = BytesMut::new();
        let mut came = 0;
        for piece in bytes.chunks(size) {
            read.extend_from_slice(piece);
            came += piece.len();
            if let Some(head) = take(&mut read)? {
                return Ok(Some((head, came - read.len())));
            }
        }
        Ok(None)
    }

    proptest::proptest! {
        /// However a head is cut into reads, the same is read of it; a fault may be seen earlier.
        #[test]
        fn cuts_do_not_matter(
            bytes in "HTTP/1[.][01] (200|304|99|1000|2x0)( OK| |)\r?\n\
                      ((Content-Length|X-a|x y|Set-Cookie|)[ ]?:[ \t]?(a|3|é|)\r?\n([ ]b\r\n)?){0,5}\
                      \r?\n.{0,9}",
            size in 1_usize..60,
        ) {
            let (at_once, in_pieces) = (read(bytes.as_bytes(), usize::MAX), read(bytes.as_bytes(), size));
            match (at_once, in_pieces) {
                (Ok(Some((one, length))), Ok(Some((other, other_length)))) => {
                    proptest::prop_assert_eq!(length, other_length);
                    let (mut text, mut other_text) = (BytesMut::new(), BytesMut::new());
                    write(&one, &mut text);
                    write(&other, &mut other_text);
                    proptest::prop_assert_eq!(text, other_text);
                }
                (at_once, in_pieces) => {
                    proptest::prop_assert_eq!(at_once.is_err(), in_pieces.is_err());
                    proptest::prop_assert!(!matches!(at_once, Ok(Some(_))));
                }
            }
        }
    }
}
