//! What is put right about a request before anything goes by it.

use http::{HeaderName, Version};

use super::claims::is_own;
use crate::heads::names::{COOKIE, HOST, PROXY};
use crate::heads::{RequestHead, absolute_authority, is_plain};
use crate::model::UnderscoresInHeaders;

/// Puts the request right; how many of its fields were dropped.
pub(crate) fn put_right(
    request: &mut RequestHead,
    underscores: UnderscoresInHeaders,
    named_by: Option<&HeaderName>,
) -> u64 {
    if request.version == Version::HTTP_10 && !request.headers.has(HOST) {
        name_host(request);
    }
    if request.version == Version::HTTP_2 {
        join_cookies(request);
    }
    let headers = &mut request.headers;
    if !headers.is_odd() && !headers.has(PROXY) {
        return 0;
    }
    let is_wanted = |name: &str| {
        // Backends behind CGI take it for the variable `HTTP_PROXY`, by which programs choose a proxy of
        // their own. No client has a use for it (httpoxy, CVE-2016-5385).
        let is_proxy = name.eq_ignore_ascii_case(PROXY.as_static());
        let is_underscored = name.contains('_') && underscores == UnderscoresInHeaders::Drop;
        let is_twin = || !name.bytes().all(is_plain) && is_own_twin(name, named_by);
        !is_proxy && !is_underscored && !is_twin()
    };
    headers.retain(is_wanted) as u64
}

/// Whether backends could take it for a field that the proxy writes, or goes by.
fn is_own_twin(name: &str, named_by: Option<&HeaderName>) -> bool {
    let plain = name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-");
    is_own(&plain) || named_by.is_some_and(|own| own.as_str().eq_ignore_ascii_case(&plain))
}

/// RFC 9112 §3.2.2: the target says which host it is for. HTTP/1.0 knows no Host; backends get one.
fn name_host(request: &mut RequestHead) {
    if let Some(authority) = absolute_authority(request.target()) {
        let authority = authority.to_owned();
        request.headers.insert(HOST, authority);
    }
}

/// RFC 9113 §8.2.3: cookies that HTTP/2 carries in fields of their own are one field to HTTP/1. So they
/// are to backends of HTTP/2, that an application sees the same whatever is spoken to it.
fn join_cookies(request: &mut RequestHead) {
    let mut crumbs = request.headers.all(COOKIE);
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let mut joined = first.to_vec();
        for crumb in std::iter::once(second).chain(crumbs) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(crumb);
        }
        request.headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::heads::text_of;
    use crate::proxy::wire::request::is_twin;

    fn request(version: Version, target: &str, headers: &[(&str, &str)]) -> RequestHead {
        let mut request = RequestHead::new(Method::GET, target.as_bytes());
        request.version = version;
        for (name, value) in headers {
            request.headers.append(*name, value);
        }
        request
    }

    fn names(request: &RequestHead) -> Vec<&str> {
        request.headers.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn fields_with_an_underscore_are_dropped_and_counted() {
        let headers = [("X_Real_IP", "1"), ("X_Real_IP", "2"), ("x-plain", "3"), ("A_", "4")];
        let mut request = request(Version::HTTP_11, "/", &headers);
        assert_eq!(put_right(&mut request, UnderscoresInHeaders::Drop, None), 3);
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
        assert_eq!(dropped, 5);
        assert_eq!(names(&request), ["X_App"]);
    }

    #[test]
    fn no_client_chooses_the_proxy_of_a_program() {
        for underscores in [UnderscoresInHeaders::Drop, UnderscoresInHeaders::Allow] {
            let mut request = request(Version::HTTP_11, "/", &[("Proxy", "http://evil.test")]);
            assert_eq!(put_right(&mut request, underscores, None), 1);
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
            put_right(&mut request, UnderscoresInHeaders::Drop, None);
            let got: Vec<_> = request.headers.all(COOKIE).filter_map(text_of).collect();
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
            put_right(&mut request, UnderscoresInHeaders::Drop, None);
            let got = request.headers.text(HOST);
            assert_eq!(got, host, "{target}");
        }
    }

    #[test]
    fn twins_are_those_of_cgi() {
        assert!(is_twin("x_real-ip", "X-Real-IP") && is_twin("x-a", "X_A"));
        assert!(!is_twin("x_real", "x-real-ip") && !is_twin("xa", "x-a"));
    }
}
