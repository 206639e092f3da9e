//! Who sends requests, and over which connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use http::HeaderName;
use ipnet::IpNet;
use pingora::http::RequestHeader;

use super::memory::Budget;
use crate::tls::Certificate;

/// The addresses that a request came along by.
pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static(FORWARDED_FOR);

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
    /// Requests that it has carried.
    pub(super) requests: AtomicU32,
    /// What was agreed on, if it came over TLS.
    pub(super) tls: Option<Agreed>,
    /// Set once Pingora's parser has accepted the request that was handed over.
    pub(super) accepted: AtomicBool,
    /// Set once it speaks another protocol, which is nothing but bytes.
    pub(super) upgraded: AtomicBool,
    /// What may be held on its behalf.
    pub(super) budget: Arc<Budget>,
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

impl Client {
    /// Whom the request comes from in the end: its peer, or, where that is a trusted proxy, whom that
    /// one names (`X-Forwarded-For`), and so on along the chain.
    pub(super) fn origin(&self, request: &RequestHeader, trusted: &[IpNet]) -> IpAddr {
        let mut origin = self.ip;
        if !self.trusted {
            return origin;
        }
        let values = request.headers.get_all(X_FORWARDED_FOR).iter().rev();
        let names = values.filter_map(|value| value.to_str().ok());
        for name in names.flat_map(|value| value.rsplit(',')) {
            // What can't be read was written by nobody who is trusted.
            let Ok(address) = name.trim().parse::<IpAddr>() else { break };
            origin = address.to_canonical();
            if !trusted.iter().any(|network| network.contains(&origin)) {
                break;
            }
        }
        origin
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed_about_who_sends() {
        let networks = ["10.0.0.0/8".parse().unwrap()];
        let origin = |peer: &str, values: &[&'static str]| {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            for value in values {
                request.append_header("X-Forwarded-For", *value).unwrap();
            }
            let ip: IpAddr = peer.parse().unwrap();
            let trusted = networks.iter().any(|net: &IpNet| net.contains(&ip));
            Client { ip, trusted, secure: false }.origin(&request, &networks).to_string()
        };
        assert_eq!(origin("192.0.2.1", &["198.51.100.1"]), "192.0.2.1", "a stranger's claim");
        assert_eq!(origin("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(origin("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(origin("10.0.0.1", &["203.0.113.9, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(origin("10.0.0.1", &["198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(origin("10.0.0.1", &["203.0.113.9, rubbish, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(origin("10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }
}
