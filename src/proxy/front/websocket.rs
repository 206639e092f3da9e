//! WebSockets over HTTP/2 (RFC 8441): a CONNECT that says which protocol becomes the request that HTTP/1
//! has for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::{HeaderValue, Method, header};
use pingora::http::RequestHeader;

/// Makes of a CONNECT for a WebSocket the request that backends know. What else a CONNECT asks for is
/// refused by its method.
pub(super) fn accept(request: &mut RequestHeader) {
    let is_websocket = request.method == Method::CONNECT
        && request
            .extensions
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"));
    if !is_websocket {
        request.extensions_mut().remove::<Protocol>();
        return;
    }
    request.set_method(Method::GET);
    // What follows is no body (RFC 9110 §9.3.6).
    request.remove_header(&header::CONTENT_LENGTH);
    request.remove_header(&header::EXPECT);
    // HTTP/2 needs none; the handshake of HTTP/1 has one, which says nothing to anybody.
    let key = STANDARD.encode(fastrand::u128(..).to_be_bytes());
    if let Ok(key) = HeaderValue::try_from(key) {
        let _ = request.insert_header(header::SEC_WEBSOCKET_KEY, key);
    }
}
