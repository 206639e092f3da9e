//! Who sends requests, and over which connection.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;

/// What is known of a client before its first request, and whether its last one was accepted.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its address.
    pub(super) client: IpAddr,
    /// Whether its forwarded headers are believed.
    pub(super) trusted: bool,
    /// Whether it came over TLS.
    pub(super) secure: bool,
    /// Set once Pingora's parser has accepted the request that was handed over.
    pub(super) accepted: AtomicBool,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) ip: IpAddr,
    pub(super) trusted: bool,
    pub(super) secure: bool,
}
