//! Requests to backends, from clients and from probes alike.

use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Version, header};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr, Result};

/// Converts a request to HTTP/2: its host becomes the authority, without a Host field (RFC 9113
/// §8.3.1). nginx refuses a request with both. Its scheme is `https` or `http`, whatever it was.
///
/// # Errors
/// When it has no valid host.
pub(crate) fn to_http2(request: &mut RequestHeader, is_https: bool) -> Result<()> {
    request.set_version(Version::HTTP_2);
    let authority = match request.remove_header(&header::HOST) {
        Some(host) => Authority::try_from(host.as_bytes())
            .or_err(ErrorType::InvalidHTTPHeader, "its Host is not an authority")?,
        None => match request.uri.authority() {
            Some(authority) => authority.clone(),
            None => return Ok(()),
        },
    };
    let path = request.uri.path_and_query().cloned();
    let uri = Uri::builder()
        .scheme(if is_https { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(authority)
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
        .or_err(ErrorType::InvalidHTTPHeader, "its target is not a URI")?;
    request.set_uri(uri);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_http2_the_host_is_the_authority_alone() {
        let mut request = RequestHeader::build("GET", b"/a?b=c", None).unwrap();
        request.insert_header(header::HOST, "shop.example.com:8080").unwrap();
        to_http2(&mut request, true).unwrap();
        assert_eq!(request.uri, "https://shop.example.com:8080/a?b=c");
        assert!(!request.headers.contains_key(header::HOST));
        // What has its authority already keeps it, but for the scheme.
        to_http2(&mut request, false).unwrap();
        assert_eq!(request.uri, "http://shop.example.com:8080/a?b=c");
        request.insert_header(header::HOST, "a b").unwrap();
        assert!(to_http2(&mut request, false).is_err());
    }
}
