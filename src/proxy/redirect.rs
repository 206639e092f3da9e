//! Answers that send clients elsewhere, and those that a CA wants to see.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use super::answer::send;
use super::content::Content;
use super::host::Host;

/// Where a CA looks for the answer to http-01 (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The port that `https://` means when none is given.
const HTTPS_PORT: u16 = 443;

/// The token of a request for the answer to a challenge: one segment of base64url, and nothing that a
/// server could read as another path. What is a challenge passes where others are stopped.
pub(super) fn challenge_token(request: &RequestHeader) -> Option<&str> {
    let is_plain = matches!(request.method, Method::GET | Method::HEAD);
    let token = request.uri.path().strip_prefix(CHALLENGES)?;
    let is_token = token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (is_plain && is_token && !token.is_empty() && request.uri.query().is_none()).then_some(token)
}

/// Path and query, as they stand in a location.
pub(super) fn path_of(request: &RequestHeader) -> &str {
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    if path.starts_with('/') { path } else { "/" }
}

/// The same resource over HTTPS.
pub(super) fn location(host: &str, port: u16, request: &RequestHeader) -> String {
    let path = path_of(request);
    if port == HTTPS_PORT {
        format!("https://{host}{path}")
    } else {
        format!("https://{host}:{port}{path}")
    }
}

/// Sends the client elsewhere for good, with its method and body (RFC 9110 §15.4.9).
///
/// # Errors
/// When the client takes no answer any more.
pub(super) async fn redirect(
    session: &mut Session,
    location: String,
    host: Host<'_>,
) -> Result<()> {
    let mut response = ResponseHeader::build(StatusCode::PERMANENT_REDIRECT, Some(4))?;
    let content = Content::text(Bytes::from(format!("this site is served at {location}\n")));
    response.insert_header(header::LOCATION, location)?;
    send(session, response, content, host).await
}

/// Answers a CA.
///
/// # Errors
/// When it takes no answer any more.
pub(super) async fn prove(session: &mut Session, answer: &str) -> Result<()> {
    let mut response = ResponseHeader::build(StatusCode::OK, Some(4))?;
    response.insert_header(header::CACHE_CONTROL, "no-store")?;
    let content = Content::text(Bytes::copy_from_slice(answer.as_bytes()));
    send(session, response, content, Host::none()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_one_segment_of_base64url_and_nothing_else() {
        let token = |method: Method, target: &str| {
            let request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
            challenge_token(&request).map(str::to_owned)
        };
        let path = |rest: &str| format!("/.well-known/acme-challenge/{rest}");
        assert_eq!(token(Method::GET, &path("aZ09-_")).as_deref(), Some("aZ09-_"));
        assert_eq!(token(Method::HEAD, &path("x")).as_deref(), Some("x"));
        for rest in [
            "",
            "../../secret",
            "..",
            ".",
            "a/b",
            "a/",
            "/a",
            "%2e%2e%2fsecret",
            "a%2fb",
            "a;b",
            "..;",
            "a\\b",
            "a?b",
            "a?",
            "é",
            "a=",
            "a.b",
        ] {
            assert_eq!(token(Method::GET, &path(rest)), None, "{rest}");
        }
        assert_eq!(token(Method::POST, &path("x")), None);
        assert_eq!(token(Method::GET, "//.well-known/acme-challenge/x"), None);
        assert_eq!(token(Method::GET, "/x/../.well-known/acme-challenge/x"), None);
    }

    #[test]
    fn the_location_is_the_same_resource() {
        let mut request = RequestHeader::build("GET", b"/a%20b?c=d", None).unwrap();
        assert_eq!(location("example.com", 443, &request), "https://example.com/a%20b?c=d");
        assert_eq!(location("[::1]", 8443, &request), "https://[::1]:8443/a%20b?c=d");
        request = RequestHeader::build("OPTIONS", b"*", None).unwrap();
        assert_eq!(location("example.com", 443, &request), "https://example.com/");
    }
}
