//! Where clients are redirected.

use crate::heads::RequestHead;

/// The port that `https://` means when none is given.
const HTTPS_PORT: u16 = 443;

/// Path and query, as they stand in a location.
pub(crate) fn path_of(request: &RequestHead) -> &str {
    let path = request.path_and_query();
    if path.starts_with('/') { path } else { "/" }
}

/// The same resource over HTTPS.
pub(crate) fn location(host: &str, port: u16, request: &RequestHead) -> String {
    let path = path_of(request);
    if port == HTTPS_PORT {
        format!("https://{host}{path}")
    } else {
        format!("https://{host}:{port}{path}")
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn the_location_is_the_same_resource() {
        let mut request = RequestHead::new(Method::GET, b"/a%20b?c=d");
        assert_eq!(location("example.com", 443, &request), "https://example.com/a%20b?c=d");
        assert_eq!(location("[::1]", 8443, &request), "https://[::1]:8443/a%20b?c=d");
        request = RequestHead::new(Method::OPTIONS, b"*");
        assert_eq!(location("example.com", 443, &request), "https://example.com/");
    }
}
