//! How much a request's head may hold.

use pingora::http::RequestHeader;

use crate::model::Reason;
use crate::proxy::options::RequestLimits;
use crate::proxy::wire::request::Wire;

/// Refuses a target of this length, or so many fields: of HTTP/1 before anything is parsed, for Pingora's
/// parser has limits of its own and would call what is beyond them malformed.
pub(crate) fn check_measures(
    (target, fields): (usize, usize),
    limits: RequestLimits,
) -> Option<Reason> {
    if target > limits.uri_bytes {
        return Some(Reason::UriTooLong);
    }
    (fields > limits.headers).then_some(Reason::TooManyHeaders)
}

/// Refuses a head that was parsed. The front has looked at those of HTTP/1, by the options of that moment.
pub(crate) fn check_head(
    request: &RequestHeader,
    wire: Wire,
    max_bytes: usize,
    limits: RequestLimits,
) -> Option<Reason> {
    let measures = (request.raw_path().len(), request.headers.len());
    let is_large = wire.head() > max_bytes;
    check_measures(measures, limits).or(is_large.then_some(Reason::HeadTooLarge))
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
    fn a_parsed_head_has_the_same_limits() {
        let refused =
            |request: &RequestHeader, max| check_head(request, Wire::http2(request), max, LIMITS);
        let mut request = RequestHeader::build("GET", b"/23456789", None).unwrap();
        assert_eq!(refused(&request, 100), None);
        request.append_header("a", "b".repeat(60)).unwrap();
        assert_eq!(refused(&request, 100), Some(Reason::HeadTooLarge));
        assert_eq!(check_head(&request, Wire::Http1 { head: 100 }, 100, LIMITS), None);
        request.append_header("a", "b").unwrap();
        request.append_header("a", "b").unwrap();
        assert_eq!(refused(&request, 1000), Some(Reason::TooManyHeaders));
        let request = RequestHeader::build("GET", b"/234567890", None).unwrap();
        assert_eq!(refused(&request, 100), Some(Reason::UriTooLong));
    }
}
