//! What a request asked for.

use http::{HeaderValue, Method, Uri, Version, header};
use pingora::http::RequestHeader;

use crate::proxy::client::downstream::Downstream;
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
    pub(super) fn of(session: &impl Downstream) -> Self {
        let request = session.request();
        Self {
            method: request.method.clone(),
            uri: request.uri.clone(),
            host: request.headers.get(header::HOST).cloned(),
            request_id: request.headers.get(X_REQUEST_ID).cloned(),
            protocol: protocol(request),
            tls: session.tls(),
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
