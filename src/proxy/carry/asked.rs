//! What a request asked for.

use http::{HeaderValue, Method, Uri, Version, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::proxy::wire::request::X_REQUEST_ID;

/// What a request asked for, noted at its begin, for one that has no end: when the server stops, its
/// session goes before anybody can look at it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) host: Option<HeaderValue>,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) protocol: &'static str,
    pub(super) tls: Option<&'static str>,
}

impl Asked {
    pub(super) fn of(session: &Session) -> Self {
        let request = session.req_header();
        Self {
            method: request.method.clone(),
            uri: request.uri.clone(),
            host: request.headers.get(header::HOST).cloned(),
            request_id: request.headers.get(X_REQUEST_ID).cloned(),
            protocol: protocol(request),
            tls: tls(session),
        }
    }
}

pub(super) fn protocol(request: &RequestHeader) -> &'static str {
    match request.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// The version as others write it; there are no more.
pub(super) fn tls(session: &Session) -> Option<&'static str> {
    let digest = session.digest()?.ssl_digest.as_deref()?;
    Some(if digest.version.ends_with('2') { "TLSv1.2" } else { "TLSv1.3" })
}
