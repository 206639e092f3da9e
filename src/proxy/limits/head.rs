//! How much a request's head may hold.

use crate::heads::RequestHead;
use crate::model::Reason;
use crate::proxy::options::RequestLimits;
use crate::proxy::wire::request::Wire;

/// Refuses a head whose target is longer than its limit, or that has more fields than theirs.
pub(crate) fn check_measures(request: &RequestHead, limits: RequestLimits) -> Option<Reason> {
    if request.target().len() > limits.uri_bytes {
        return Some(Reason::UriTooLong);
    }
    (request.headers.len() > limits.headers).then_some(Reason::TooManyHeaders)
}

/// Refuses a head that is too large. The front has looked at those of HTTP/1, by the options of that moment.
pub(crate) fn check_head(
    request: &RequestHead,
    wire: Wire,
    max_bytes: usize,
    limits: RequestLimits,
) -> Option<Reason> {
    let is_large = wire.head() > max_bytes;
    check_measures(request, limits).or(is_large.then_some(Reason::HeadTooLarge))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

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
            |request: &RequestHead, max| check_head(request, Wire::http2(request), max, LIMITS);
        let mut request = RequestHead::new(Method::GET, b"/23456789");
        assert_eq!(refused(&request, 100), None);
        request.headers.append("a", "b".repeat(60));
        assert_eq!(refused(&request, 100), Some(Reason::HeadTooLarge));
        assert_eq!(check_head(&request, Wire::Http1 { head: 100 }, 100, LIMITS), None);
        request.headers.append("a", "b");
        request.headers.append("a", "b");
        assert_eq!(refused(&request, 1000), Some(Reason::TooManyHeaders));
        let request = RequestHead::new(Method::GET, b"/234567890");
        assert_eq!(refused(&request, 100), Some(Reason::UriTooLong));
    }
}
