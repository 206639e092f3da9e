//! What a request asked for.

use http::{Method, Version};

use crate::heads::names::{HOST, X_REQUEST_ID};
use crate::heads::{RequestHead, split_query};
use crate::proxy::client::downstream::Downstream;

/// What a request asked for, noted at its begin, for one that has no end: when the server stops, its
/// session goes before anybody can look at it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    path_and_query: Box<str>,
    /// Its `:authority`, else its Host header.
    pub(super) host: Option<Box<str>>,
    pub(super) request_id: Option<Box<str>>,
    pub(super) protocol: &'static str,
    pub(super) tls: Option<&'static str>,
}

impl Asked {
    pub(super) fn of(session: &impl Downstream) -> Self {
        let request = session.request();
        let host = request.authority().or_else(|| request.headers.text(HOST));
        Self {
            method: request.method.clone(),
            path_and_query: request.path_and_query().into(),
            host: host.map(Into::into),
            request_id: request.headers.text(X_REQUEST_ID).map(Into::into),
            protocol: protocol(request),
            tls: session.tls(),
        }
    }

    pub(super) fn path(&self) -> &str {
        split_query(&self.path_and_query).0
    }

    pub(super) fn query(&self) -> Option<&str> {
        split_query(&self.path_and_query).1
    }
}

pub(super) fn protocol(request: &RequestHead) -> &'static str {
    match request.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
