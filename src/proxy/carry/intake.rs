//! What is put right about a request before anything goes by it.

use http::{HeaderName, HeaderValue, Version, header};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr, Result};

use super::claims::is_own;
use crate::model::UnderscoresInHeaders;
use crate::proxy::wire::request::{absolute_authority, is_plain};

/// Backends behind CGI take it for the variable `HTTP_PROXY`, by which programs choose a proxy of their
/// own. No client has a use for it (httpoxy, CVE-2016-5385).
const PROXY: &str = "proxy";

/// Puts the request right; how many of its fields were dropped.
///
/// # Errors
/// Never: what is written was read.
pub(crate) fn put_right(
    request: &mut RequestHeader,
    underscores: UnderscoresInHeaders,
    named_by: Option<&HeaderName>,
) -> Result<u64> {
    if request.version == Version::HTTP_10 && !request.headers.contains_key(header::HOST) {
        name_host(request)?;
    }
    if request.version == Version::HTTP_2 {
        join_cookies(request)?;
    }
    let is_dropped = |name: &&HeaderName| {
        let name = name.as_str();
        name == PROXY
            || (name.contains('_') && underscores == UnderscoresInHeaders::Drop)
            || (!name.bytes().all(is_plain) && is_own_twin(name, named_by))
    };
    if !request.headers.keys().any(|name| is_dropped(&name)) {
        return Ok(0);
    }
    let dropped: Vec<_> = request.headers.keys().filter(is_dropped).cloned().collect();
    let before = request.headers.len();
    for name in &dropped {
        request.remove_header(name);
    }
    Ok((before - request.headers.len()) as u64)
}

/// Whether backends could take it for a field that the proxy writes, or goes by.
fn is_own_twin(name: &str, named_by: Option<&HeaderName>) -> bool {
    let plain = name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-");
    is_own(&plain) || named_by.is_some_and(|own| own.as_str() == plain)
}

/// RFC 9112 §3.2.2: the target says which host it is for. HTTP/1.0 knows no Host; backends get one.
fn name_host(request: &mut RequestHeader) -> Result<()> {
    let authority = absolute_authority(request).map(HeaderValue::from_bytes);
    if let Some(authority) = authority {
        let authority = authority.or_err(ErrorType::InvalidHTTPHeader, "authority")?;
        request.insert_header(header::HOST, authority)?;
    }
    Ok(())
}

/// RFC 9113 §8.2.3: cookies that HTTP/2 carries in fields of their own are one field to HTTP/1. So they
/// are to backends of HTTP/2, that an application sees the same whatever is spoken to it.
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let mut crumbs = request.headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let mut joined = first.as_bytes().to_vec();
        for crumb in std::iter::once(second).chain(crumbs) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(crumb.as_bytes());
        }
        let joined = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined));
        request.insert_header(
            header::COOKIE,
            joined.or_err(ErrorType::InvalidHTTPHeader, "cookie")?,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::wire::request::is_twin;

    fn request(version: Version, target: &str, headers: &[(&str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        request.set_version(version);
        for (name, value) in headers {
            request.append_header((*name).to_owned(), *value).unwrap();
        }
        request
    }

    fn names(request: &RequestHeader) -> Vec<&str> {
        request.headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn fields_with_an_underscore_are_dropped_and_counted() {
        let headers = [("X_Real_IP", "1"), ("X_Real_IP", "2"), ("x-plain", "3"), ("A_", "4")];
        let mut request = request(Version::HTTP_11, "/", &headers);
        assert_eq!(put_right(&mut request, UnderscoresInHeaders::Drop, None).unwrap(), 3);
        assert_eq!(names(&request), ["x-plain"]);
    }

    #[test]
    fn where_they_are_allowed_twins_of_what_is_ours_are_dropped_all_the_same() {
        let headers = [
            ("X_Forwarded_For", "1"),
            ("X-Forwarded_Proto", "1"),
            ("X.Real.IP", "1"),
            ("x_request_id", "1"),
            ("X_Edge_Client", "1"),
            ("X_App", "1"),
        ];
        let mut request = request(Version::HTTP_11, "/", &headers);
        let named_by = HeaderName::from_static("x-edge-client");
        let dropped = put_right(&mut request, UnderscoresInHeaders::Allow, Some(&named_by));
        assert_eq!(dropped.unwrap(), 5);
        assert_eq!(names(&request), ["x_app"]);
    }

    #[test]
    fn no_client_chooses_the_proxy_of_a_program() {
        for underscores in [UnderscoresInHeaders::Drop, UnderscoresInHeaders::Allow] {
            let mut request = request(Version::HTTP_11, "/", &[("Proxy", "http://evil.test")]);
            assert_eq!(put_right(&mut request, underscores, None).unwrap(), 1);
            assert!(names(&request).is_empty());
        }
    }

    #[test]
    fn cookies_of_http2_become_one_and_those_of_http1_stay() {
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")];
        for (version, cookies) in [
            (Version::HTTP_2, &["a=1; b=2; c=3; d=4"][..]),
            (Version::HTTP_11, &["a=1", "b=2; c=3", "d=4"]),
        ] {
            let mut request = request(version, "/", &crumbs);
            put_right(&mut request, UnderscoresInHeaders::Drop, None).unwrap();
            let got: Vec<_> = request.headers.get_all("cookie").iter().collect();
            assert_eq!(got, cookies, "{version:?}");
        }
    }

    #[test]
    fn an_absolute_target_says_the_host_that_http10_does_not() {
        let own = [("Host", "a.test")];
        for (version, target, headers, host) in [
            (Version::HTTP_10, "http://b.test:81/x", &[][..], Some("b.test:81")),
            (Version::HTTP_10, "HTTP://b.test", &[], Some("b.test")),
            (Version::HTTP_10, "http://b.test?x", &[], Some("b.test")),
            (Version::HTTP_10, "/x", &[], None),
            (Version::HTTP_10, "http://a.test/x", &own, Some("a.test")),
        ] {
            let mut request = request(version, target, headers);
            put_right(&mut request, UnderscoresInHeaders::Drop, None).unwrap();
            let got = request.headers.get("host").map(|host| host.to_str().unwrap());
            assert_eq!(got, host, "{target}");
        }
    }

    #[test]
    fn twins_are_those_of_cgi() {
        assert!(is_twin("x_real-ip", "X-Real-IP") && is_twin("x-a", "X_A"));
        assert!(!is_twin("x_real", "x-real-ip") && !is_twin("xa", "x-a"));
    }
}
