//! The heads of answers: as backends send them, and as clients of HTTP/1 get them.

use bytes::{Buf, BytesMut};
use http::{Method, Version};
use memchr::memmem;
use pingora::Result;

use super::errors::malformed_answer;
use super::fields::has_no_body;
use super::framing::Framing;
use crate::heads::names::{CONTENT_LENGTH, TRANSFER_ENCODING};
use crate::heads::{Fields, RequestHead, ResponseHead};
use crate::proxy::wire::body::Incoming;

/// A head that is larger is none.
const MAX_HEAD: usize = 128 * 1024;

/// A head up to this size is parsed after each read, so that what is not HTTP is refused at once.
const SMALL: usize = 4 * 1024;

/// Takes the head of an answer out of what was read, once it is whole.
///
/// # Errors
/// When it is none.
pub(super) fn take(read: &mut BytesMut) -> Result<Option<ResponseHead>> {
    let may_be_whole = || memmem::find(read, b"\n\r\n").or_else(|| memmem::find(read, b"\n\n"));
    let is_worth_it = read.len() <= SMALL || read.len() > MAX_HEAD || may_be_whole().is_some();
    if read.is_empty() || !is_worth_it {
        return Ok(None);
    }
    match ResponseHead::read(read).map_err(|error| malformed_answer(&error))? {
        Some((head, length)) => {
            read.advance(length);
            Ok(Some(head))
        }
        None if read.len() <= MAX_HEAD => Ok(None),
        None => Err(malformed_answer(&"its head is larger than 128 KiB")),
    }
}

/// The body behind the head of an answer (RFC 9112 §6.3).
pub(super) fn body_of(method: &Method, head: &ResponseHead) -> Incoming {
    if has_no_body(method, head.status) {
        return Incoming::none();
    }
    if head.headers.has(TRANSFER_ENCODING) {
        return Incoming::chunked_by_backend();
    }
    length_of(&head.headers).map_or(Incoming::UntilClose, Incoming::Length)
}

/// The length that a head says.
pub(super) fn length_of(headers: &Fields) -> Option<u64> {
    headers.text(CONTENT_LENGTH)?.parse().ok()
}

/// How the body behind a head is delimited for a client of HTTP/1, which the head then says.
///
/// # Errors
/// When its length is none.
pub(super) fn frame(request: &RequestHead, head: &mut ResponseHead) -> Result<Framing> {
    if has_no_body(&request.method, head.status) {
        return Ok(Framing::None);
    }
    if head.headers.has(CONTENT_LENGTH) {
        let length = length_of(&head.headers);
        head.headers.remove(TRANSFER_ENCODING);
        return length.map(Framing::Length).ok_or_else(|| malformed_answer(&"its length is none"));
    }
    // It can't read chunks (RFC 9112 §6.1).
    if request.version == Version::HTTP_10 {
        head.headers.remove(TRANSFER_ENCODING);
        return Ok(Framing::UntilClose);
    }
    head.headers.insert(TRANSFER_ENCODING, "chunked");
    Ok(Framing::Chunked)
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
        assert_eq!((head.status.as_u16(), head.reason()), (200, "Fine"));
        assert_eq!(head.headers.all("x-case").count(), 2);
        let mut wire = BytesMut::new();
        head.write(&mut wire);
        let expected = b"HTTP/1.1 200 Fine\r\nX-Case: a\r\nx-case: b\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(wire.escape_ascii().to_string(), expected.escape_ascii().to_string());
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
    fn read(bytes: &[u8], size: usize) -> Result<Option<(ResponseHead, usize)>> {
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
                    one.write(&mut text);
                    other.write(&mut other_text);
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
