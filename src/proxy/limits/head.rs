//! How much a request's head may hold.

use pingora::http::RequestHeader;

use crate::model::Reason;
use crate::proxy::options::RequestLimits;

/// What RFC 9113 §6.5.2 adds for each field, so that many small ones count as what they cost.
const FIELD_OVERHEAD: usize = 32;

/// Refuses a head as it came, before anything is parsed: Pingora's parser has a limit of its own for
/// the number of fields, and would call a head beyond it malformed.
pub(crate) fn check_raw(head: &[u8], limits: RequestLimits) -> Option<Reason> {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .skip_while(|line| line.is_empty());
    let target = lines.next().and_then(|line| line.split(|byte| *byte == b' ').nth(1));
    if target.is_some_and(|target| target.len() > limits.uri_bytes) {
        return Some(Reason::UriTooLong);
    }
    let fields = lines.take_while(|line| !line.is_empty()).take(limits.headers + 1).count();
    (fields > limits.headers).then_some(Reason::TooManyHeaders)
}

/// Refuses a head that was parsed: of HTTP/2, and of HTTP/1 where Pingora read it. `bytes` is its size,
/// where that is known.
pub(crate) fn check(
    request: &RequestHeader,
    bytes: Option<usize>,
    most_bytes: usize,
    limits: RequestLimits,
) -> Option<Reason> {
    if request.raw_path().len() > limits.uri_bytes {
        return Some(Reason::UriTooLong);
    }
    if request.headers.len() > limits.headers {
        return Some(Reason::TooManyHeaders);
    }
    let bytes = bytes.unwrap_or_else(|| {
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + FIELD_OVERHEAD
        };
        request.headers.iter().map(field).sum::<usize>() + request.raw_path().len()
    });
    (bytes > most_bytes).then_some(Reason::HeadTooLarge)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        headers: 2,
        uri_bytes: 9,
        body_bytes_per_sec: 0,
        body_grace: Duration::ZERO,
    };

    #[test]
    fn a_raw_head_is_measured_without_a_parser() {
        for (head, refused) in [
            ("GET /23456789 HTTP/1.1\r\na: b\r\nc: d\r\n\r\nbody\r\n", None),
            ("\r\nGET /234567890 HTTP/1.1\r\n\r\n", Some(Reason::UriTooLong)),
            ("GET / HTTP/1.1\r\na: b\r\nc: d\r\ne: f\r\n\r\n", Some(Reason::TooManyHeaders)),
            ("GET / HTTP/1.1\na: b\nc: d\n\ne: f\n", None),
            ("GET", None),
        ] {
            assert_eq!(check_raw(head.as_bytes(), LIMITS), refused, "{head:?}");
        }
    }

    #[test]
    fn a_parsed_head_has_the_same_limits() {
        let mut request = RequestHeader::build("GET", b"/23456789", None).unwrap();
        assert_eq!(check(&request, None, 100, LIMITS), None);
        request.append_header("a", "b".repeat(60)).unwrap();
        assert_eq!(check(&request, None, 100, LIMITS), Some(Reason::HeadTooLarge));
        assert_eq!(check(&request, Some(100), 100, LIMITS), None);
        request.append_header("a", "b").unwrap();
        request.append_header("a", "b").unwrap();
        assert_eq!(check(&request, None, 1000, LIMITS), Some(Reason::TooManyHeaders));
        let request = RequestHeader::build("GET", b"/234567890", None).unwrap();
        assert_eq!(check(&request, None, 100, LIMITS), Some(Reason::UriTooLong));
    }
}
