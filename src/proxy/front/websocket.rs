//! WebSockets over HTTP/2 (RFC 8441): a CONNECT that says which protocol becomes the request that HTTP/1
//! has for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::Method;

use crate::heads::names::{CONTENT_LENGTH, EXPECT, SEC_WEBSOCKET_KEY};
use crate::heads::{RequestHead, Set};

/// Makes of a CONNECT for a WebSocket the request that backends know. What else a CONNECT asks for is
/// refused by its method.
pub(super) fn accept(request: &mut RequestHead, protocol: &Protocol) {
    if request.method != Method::CONNECT || !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return;
    }
    request.method = Method::GET;
    // What follows is no body (RFC 9110 §9.3.6).
    request.headers.remove_any(const { Set::of(&[CONTENT_LENGTH, EXPECT]) });
    // HTTP/2 needs none; the handshake of HTTP/1 has one, which says nothing to anybody.
    let key = STANDARD.encode(fastrand::u128(..).to_be_bytes());
    request.headers.insert(SEC_WEBSOCKET_KEY, key);
}
