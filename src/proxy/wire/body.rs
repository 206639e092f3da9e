//! The body of a message as it comes (RFC 9112 §6): which bytes are its content, and where it ends.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::chunks::{Broken, Chunks};
use crate::heads::is_plain;

/// More trailers than these are no use to anybody.
const MAX_TRAILERS: usize = 64;

/// The rest of a body that is still to come.
#[derive(Debug)]
pub(crate) enum Incoming {
    Length(u64),
    Chunked {
        chunks: Chunks,
        /// The lines of its trailers.
        trailers: Vec<u8>,
    },
    /// Up to the end of the connection.
    UntilClose,
    Ended,
}

impl Incoming {
    pub(crate) fn none() -> Self {
        Self::Length(0)
    }

    pub(crate) fn chunked() -> Self {
        Self::Chunked { chunks: Chunks::new(), trailers: Vec::new() }
    }

    /// The same of a backend, which may write chunks as older servers do.
    pub(crate) fn chunked_by_backend() -> Self {
        Self::Chunked { chunks: Chunks::new().lenient(), trailers: Vec::new() }
    }

    /// Whether nothing more of it comes.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked { chunks, .. } => chunks.is_done(),
            Self::UntilClose => false,
            Self::Ended => true,
        }
    }

    /// Takes the next bytes that came: how many are its own, and which of them are content. Call it
    /// again for the rest, until it takes none.
    ///
    /// # Errors
    /// When they are no body.
    pub(crate) fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, &'b [u8]), Broken> {
        match self {
            Self::Length(left) => {
                let count =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= count as u64;
                Ok((count, &bytes[..count]))
            }
            Self::Chunked { chunks, trailers } => chunks.take(bytes, trailers),
            Self::UntilClose => Ok((bytes.len(), bytes)),
            Self::Ended => Ok((0, &[])),
        }
    }

    /// The connection has ended; whether the body has with it.
    pub(crate) fn end(&mut self) -> bool {
        if matches!(self, Self::UntilClose) {
            *self = Self::Ended;
        }
        self.is_whole()
    }

    /// The trailers behind a whole body, but for those that may not be there (RFC 9110 §6.5.1).
    pub(crate) fn trailers(&mut self) -> Option<HeaderMap> {
        let Self::Chunked { trailers, .. } = self else { return None };
        if trailers.is_empty() {
            return None;
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        // Their end, which httparse wants to see.
        trailers.extend_from_slice(b"\r\n");
        // `Chunks` has seen that each line is one of a field.
        let Ok(httparse::Status::Complete((_, fields))) =
            httparse::parse_headers(trailers, &mut fields)
        else {
            return None;
        };
        let kept = fields.iter().filter(|field| may_be_trailer(field.name)).filter_map(|field| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(field.value).ok()?))
        });
        let mut map = HeaderMap::new();
        kept.for_each(|(name, value)| _ = map.append(name, value));
        (!map.is_empty()).then_some(map)
    }
}

/// The trailers that may go on.
pub(crate) fn permitted_trailers(trailers: &HeaderMap) -> Option<HeaderMap> {
    let mut kept = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers {
        if may_be_trailer(name.as_str()) {
            kept.append(name.clone(), value.clone());
        }
    }
    (!kept.is_empty()).then_some(kept)
}

/// Whether a field may come behind a body: nothing that frames, routes, or says who somebody is, nor
/// what has to be known before the body.
fn may_be_trailer(name: &str) -> bool {
    const NEVER: [&str; 35] = [
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        "proxy",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-request-id",
    ];
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    let starts = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    // What backends behind CGI could take for one of these has signs of its own.
    name.bytes().all(is_plain)
        && !NEVER.iter().any(is)
        && !starts("x-forwarded-")
        && !starts("if-")
        && !starts("x-real-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a body that comes in pieces of this size, with what is behind it.
    fn read(mut incoming: Incoming, bytes: &[u8], size: usize) -> Result<(Vec<u8>, usize), Broken> {
        let (mut content, mut own) = (Vec::new(), 0);
        for piece in bytes.chunks(size) {
            let mut rest = piece;
            loop {
                let (count, some) = incoming.take(rest)?;
                content.extend_from_slice(some);
                own += count;
                rest = &rest[count..];
                if count == 0 || rest.is_empty() {
                    break;
                }
            }
        }
        Ok((content, own))
    }

    #[test]
    fn content_is_told_from_framing_wherever_reads_are_cut() {
        let body = b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n";
        let all = [&body[..], b"GET / HTTP/1.1"].concat();
        for size in 1..all.len() {
            let (content, own) = read(Incoming::chunked(), &all, size).expect("a body");
            assert_eq!((&content[..], own), (&b"hello world"[..], body.len()), "{size}");
            let (content, own) = read(Incoming::Length(7), &all, size).expect("a body");
            assert_eq!((&content[..], own), (&all[..7], 7));
        }
    }

    #[test]
    fn trailers_that_frame_or_route_are_left_out() {
        let mut incoming = Incoming::chunked();
        let body = b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\ngrpc-status: 0\r\nX-Sum: 2\r\n\
                     x-forwarded-for: 1\r\nHOST: a\r\nX_Sum: 3\r\nSet-Cookie: a\r\n\r\n";
        assert_eq!(incoming.take(body).map(|taken| taken.0), Ok(body.len()));
        assert!(incoming.is_whole());
        let trailers = incoming.trailers().expect("some are left");
        let names: Vec<_> = trailers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let value = HeaderValue::from_static;
        assert_eq!(
            names,
            [("x-sum", &value("1")), ("x-sum", &value("2")), ("grpc-status", &value("0"))]
        );
    }

    #[test]
    fn only_backends_may_pad_their_sizes() {
        let body = b"5  \r\nhello\r\n0 \r\n\r\n";
        assert_eq!(read(Incoming::chunked(), body, 100), Err(Broken::Size));
        let read = read(Incoming::chunked_by_backend(), body, 3).expect("a body");
        assert_eq!(read, (b"hello".to_vec(), body.len()));
    }

    #[test]
    fn a_body_without_a_length_ends_with_its_connection() {
        let mut incoming = Incoming::UntilClose;
        assert_eq!(incoming.take(b"abc"), Ok((3, &b"abc"[..])));
        assert!(!incoming.is_whole() && incoming.end() && incoming.is_whole());
        assert!(!Incoming::Length(1).end() && !Incoming::chunked().end());
    }

    proptest::proptest! {
        /// However a body is cut into reads, the same is its content, and it ends at the same byte.
        #[test]
        fn cuts_do_not_matter(
            bytes in "((0|1|5|a|0?A)(;a=b|;\"c;d\")?[ ]?\r?\n(h|hello|0123456789)?\r?\n){0,4}\
                      (0\r\n)?((X-Sum|Host): 1\r\n){0,2}\r?\n?.{0,9}",
            size in 1_usize..40,
            lenient: bool,
        ) {
            let incoming = || {
                if lenient { Incoming::chunked_by_backend() } else { Incoming::chunked() }
            };
            let at_once = read(incoming(), bytes.as_bytes(), usize::MAX);
            let in_pieces = read(incoming(), bytes.as_bytes(), size);
            proptest::prop_assert_eq!(in_pieces, at_once);
        }
    }
}
