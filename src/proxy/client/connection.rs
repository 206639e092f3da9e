//! What is known of a connection before its first request.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, OnceLock};

use super::given_up::GivenUp;
use crate::places::Uses;
use crate::proxy::memory::Budget;
use crate::proxy::wire::request::Wire;
use crate::tls::Certificate;

tokio::task_local! {
    /// The request that the front hands to Pingora: nothing can be attached to its sessions of HTTP/2.
    pub(crate) static ARRIVAL: Arrival;
}

/// A request as it comes: over which connection, and how.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) connection: Arc<Connection>,
    pub(crate) wire: Wire,
}

/// What is known of a client before its first request, and whether its last one was accepted.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The address at its other end.
    pub(crate) peer: IpAddr,
    /// Its client's address: the same, or what the PROXY protocol names.
    pub(crate) client: IpAddr,
    /// Whether that is known, and not the address of a proxy that can't name its client.
    pub(crate) is_known: bool,
    /// Whether its forwarded headers are believed.
    pub(crate) trusted: bool,
    /// The requests at once of its client, on all of its connections; none where it stands for many.
    pub(crate) uses: Option<Uses>,
    /// Requests that it has carried.
    pub(crate) requests: AtomicU32,
    /// What was agreed on, if it came over TLS.
    pub(crate) tls: Option<Agreed>,
    /// The port that its client has connected to, where that is known; found out when it is asked for.
    pub(crate) port: OnceLock<Option<u16>>,
    /// Set once Pingora's parser has accepted the request that was handed over.
    pub(crate) accepted: AtomicBool,
    /// Set once it speaks another protocol, which is nothing but bytes.
    pub(crate) upgraded: AtomicBool,
    /// What Pingora has dropped of it.
    pub(crate) given_up: GivenUp,
    /// What may be held on its behalf.
    pub(crate) budget: Arc<Budget>,
}

/// What a TLS handshake came to.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    /// The name that the client asked for, normalised.
    pub(crate) server_name: Option<Box<str>>,
    /// The certificate that it was shown.
    pub(crate) certificate: Certificate,
}

impl Connection {
    /// The name that its client asked for in the TLS handshake.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.tls.as_ref()?.server_name.as_deref()
    }

    /// Whether its client may expect the answer for `host`, which is normalised, from who it has
    /// connected to (RFC 9110 §7.4): it asked for this very name, or was shown a certificate for it.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        self.tls.as_ref().is_none_or(|agreed| {
            agreed.server_name.as_deref() == Some(host) || agreed.certificate.covers_host(host)
        })
    }
}
