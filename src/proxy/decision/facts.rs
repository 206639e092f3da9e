//! What is known of a request before anything is decided: its head is looked at once.

use http::{Method, Version};

use crate::heads::RequestHead;
use crate::model::{HostBuffer, Reason};
use crate::proxy::client::sender::Client;
use crate::proxy::wire::request::{
    challenge_token, forwarded_proto, is_grpc, routed_host, wants_websocket,
};

/// What a request asks for, beyond an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    WebSocket,
    Grpc,
}

impl Kind {
    pub(crate) fn of(request: &RequestHead) -> Self {
        match request.version {
            Version::HTTP_2 if is_grpc(request) => Self::Grpc,
            // RFC 8441; the front has made a GET of it.
            Version::HTTP_2 if request.is_websocket() => Self::WebSocket,
            Version::HTTP_11 if wants_websocket(request) => Self::WebSocket,
            _ => Self::Plain,
        }
    }
}

/// What routing goes by.
#[derive(Debug)]
pub(crate) struct Facts<'r> {
    pub(crate) request: &'r RequestHead,
    /// The host that it is for, normalised; empty where HTTP/1.0 names none.
    pub(super) host: Result<&'r str, Reason>,
    /// Who sent it; `None` where nobody has: it is only explained.
    pub(super) client: Option<Client>,
    pub(super) is_secure: bool,
    /// Whether its connection is one for this host (RFC 9110 §7.4).
    pub(super) is_here: bool,
    /// The token of the challenge that a CA asks about.
    pub(super) token: Option<&'r str>,
}

impl<'r> Facts<'r> {
    pub(crate) fn of(
        request: &'r RequestHead,
        buffer: &'r mut HostBuffer,
        client: Option<Client>,
        is_secure: bool,
        is_for: impl FnOnce(&str) -> bool,
    ) -> Self {
        let host = routed_host(request, buffer);
        let is_here = host.is_ok_and(|host| host.is_empty() || is_for(host));
        Self { request, host, client, is_secure, is_here, token: challenge_token(request) }
    }

    pub(crate) fn path(&self) -> &'r str {
        self.request.path()
    }

    /// Methods that would make a tunnel, or an echo.
    pub(super) fn is_method_refused(&self) -> bool {
        self.request.method == Method::TRACE || self.request.method == Method::CONNECT
    }
}

/// Whether the client's own connection is protected: it came over TLS, or a proxy that is believed
/// says that it did there.
pub(crate) fn is_secure(request: &RequestHead, client: Client) -> bool {
    client.secure || (client.trusted && forwarded_proto(request) == Some("https"))
}
