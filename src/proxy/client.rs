//! Who sends requests, and over which connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::tls::Certificate;

tokio::task_local! {
    /// The connection of a request on HTTP/2, whose sessions Pingora lets nothing be attached to.
    pub(super) static CONNECTION: Arc<Connection>;
}

/// What is known of a client before its first request, and whether its last one was accepted.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its address.
    pub(super) client: IpAddr,
    /// Whether its forwarded headers are believed.
    pub(super) trusted: bool,
    /// What was agreed on, if it came over TLS.
    pub(super) tls: Option<Agreed>,
    /// Set once Pingora's parser has accepted the request that was handed over.
    pub(super) accepted: AtomicBool,
    /// Set once it speaks another protocol, which is nothing but bytes.
    pub(super) upgraded: AtomicBool,
}

/// What a TLS handshake came to.
#[derive(Debug, Clone)]
pub(super) struct Agreed {
    /// The name that the client asked for, normalised.
    pub(super) server_name: Option<Box<str>>,
    /// The certificate that it was shown.
    pub(super) certificate: Certificate,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) ip: IpAddr,
    pub(super) trusted: bool,
    pub(super) secure: bool,
}

impl Connection {
    /// Whether its client may expect the answer for `host`, which is normalised, from who it has
    /// connected to (RFC 9110 §7.4): it asked for this very name, or was shown a certificate for it.
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.tls.as_ref().is_none_or(|agreed| {
            agreed.server_name.as_deref() == Some(host) || agreed.certificate.covers_host(host)
        })
    }
}
