//! A connection's beginning: the PROXY protocol, the TLS handshake, the version of HTTP. Hands ready
//! sessions to Pingora's `HttpProxy`.

mod arrival;
mod build;
mod entry;
mod handshake;
mod http1;
mod http2;
mod serve;
mod websocket;

pub(crate) use build::{front, tls_front};
pub(crate) use entry::Front;
pub(crate) use serve::Serve;
