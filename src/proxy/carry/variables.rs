//! What the variables of a request stand for, in headers that an operator writes.

use std::fmt::Write as _;

use bytes::BytesMut;

use super::asked::protocol;
use super::headers::RequestId;
use super::stages::RequestContext;
use super::trace_context::trace_id;
use crate::model::{HostBuffer, OptionSet, RequestVariable, normalise_host};
use crate::proxy::host::headers::{Came, Variables};
use crate::proxy::wire::request::{host_of, usable_request_id};

impl Variables for RequestContext {
    fn write(&self, variable: RequestVariable, came: &Came<'_>, out: &mut BytesMut) -> bool {
        let request = came.request;
        let client = self.client();
        let mut host: HostBuffer = [0; 256];
        let text = match variable {
            RequestVariable::ClientIp => {
                return display(out, client.and_then(|client| client.origin));
            }
            RequestVariable::PeerIp => return display(out, client.map(|client| client.peer)),
            RequestVariable::Domain => return display(out, self.domain()),
            RequestVariable::Path => {
                write_path(out, request.path());
                return true;
            }
            RequestVariable::RequestId => {
                usable_request_id(request).or(self.request_id.as_ref().map(RequestId::as_str))
            }
            RequestVariable::TraceId => trace_id(&request.headers),
            RequestVariable::Scheme => {
                let is_secure = self.seen.as_ref().is_some_and(|seen| seen.is_secure);
                Some(if is_secure { "https" } else { "http" })
            }
            RequestVariable::Method => Some(request.method.as_str()),
            RequestVariable::Host => {
                host_of(request).and_then(|name| normalise_host(name, &mut host).ok())
            }
            RequestVariable::Protocol => Some(protocol(request)),
            RequestVariable::TlsVersion => came.tls,
            RequestVariable::TlsSni => self.arrival.connection.server_name(),
            RequestVariable::Tag => self.pinned().map(|pinned| pinned.tag().tag().as_str()),
            RequestVariable::BackendId => self.backend().map(|node| node.backend.id.as_str()),
        };
        let Some(text) = text else { return false };
        out.extend_from_slice(text.as_bytes());
        true
    }
}

impl RequestContext {
    /// Gives a request that gets an answer of the proxy's own an id, where that answer is to say it: then the
    /// log has it too.
    pub(super) fn name_for_answer(&mut self) {
        let options = self.domain_node().map(|node| node.virtual_host.options.get());
        let says_id =
            |options: &OptionSet| options.response_headers.uses(RequestVariable::RequestId);
        if options.is_some_and(says_id) {
            self.request_id.get_or_insert_with(RequestId::random);
        }
    }
}

/// Writes one of our own texts.
fn display(out: &mut BytesMut, text: Option<impl std::fmt::Display>) -> bool {
    text.is_some_and(|text| write!(out, "{text}").is_ok())
}

/// Writes a path. What is no visible ASCII is escaped as in a URL (RFC 3986 §2.1).
fn write_path(out: &mut BytesMut, path: &str) {
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            out.extend_from_slice(&[byte]);
        } else {
            // A buffer takes what it is given.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_visible_ascii_whatever_it_was() {
        let mut out = BytesMut::new();
        write_path(&mut out, "/a%20b/é \u{1}\"");
        assert_eq!(out, "/a%20b/%C3%A9%20%01\"");
    }
}
