//! How a backend is reached through Pingora: the one place where it becomes an `HttpPeer`, and where
//! Pingora's errors become words, so that probes and traffic speak to it, and of it, alike.
//! Time-outs are each user's own.

mod announce;
mod reason;
mod upgrade;

use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::model::{BackendAddr, Scheme, SendProxyProtocol};
use crate::state::{BackendNode, Endpoints};

pub use announce::announce;
pub(crate) use reason::io_reason;
pub use reason::{failure, reason};
pub use upgrade::for_upgrade;

/// The peer at the `pick`th of the backend's `endpoints`, counted round; nothing while its name has
/// not been resolved. For anything but https this allocates nothing.
pub fn peer(node: &BackendNode, endpoints: &Endpoints, pick: usize) -> Option<HttpPeer> {
    let scheme = node.backend.scheme;
    let tls = scheme == Scheme::Https;
    let sni = if tls { server_name(&node.backend.address) } else { String::new() };
    let mut peer = match endpoints {
        Endpoints::Tcp(addresses) => {
            let address = addresses.get(pick.checked_rem(addresses.len())?)?;
            // Never a name: Pingora would resolve it here and now, and panic where it can't.
            HttpPeer::new(*address, tls, sni)
        }
        Endpoints::Unix(path) => HttpPeer::new_uds(path.to_str()?, tls, sni).ok()?,
    };
    peer.group_key = node.connection_group();
    match scheme {
        Scheme::Http => {}
        // One connection for one client: over HTTP/2 Pingora would share it.
        Scheme::Https if node.backend.send_proxy_protocol != SendProxyProtocol::Off => {}
        Scheme::Https => peer.options.set_http_version(2, 1),
        Scheme::H2c => peer.options.set_http_version(2, 2),
    }
    // Pingora's own value is 1, which makes an HTTP/2 connection no better than an HTTP/1 one.
    peer.options.max_h2_streams = 100;
    Some(peer)
}

/// The name that the backend's certificate must be for. Never empty: without a name Pingora skips
/// the verification altogether.
fn server_name(address: &BackendAddr) -> String {
    match address {
        BackendAddr::Ip(address) => address.ip().to_string(),
        BackendAddr::Name { host, .. } => host.to_string(),
        BackendAddr::Unix(_) => "localhost".to_owned(),
    }
}

/// The path of a Unix socket.
fn path_of(address: &UnixAddr) -> pingora::Result<&Path> {
    address.as_pathname().ok_or_else(|| Error::explain(ErrorType::ConnectError, "no path"))
}

#[cfg(test)]
mod tests {
    use pingora::upstreams::peer::Peer;

    use super::*;
    use crate::model::{Backend, BackendState, Weight};

    fn node(address: &str, scheme: Scheme) -> BackendNode {
        BackendNode::new(Backend {
            id: "w1".parse().unwrap(),
            address: address.parse().unwrap(),
            tags: ["a".parse().unwrap()].into(),
            weight: Weight::default(),
            scheme,
            state: BackendState::Ready,
            backup: false,
            send_proxy_protocol: crate::model::SendProxyProtocol::Off,
        })
    }

    fn of(node: &BackendNode, pick: usize) -> Option<HttpPeer> {
        peer(node, &node.live.endpoints(), pick)
    }

    #[test]
    fn every_scheme_speaks_its_own_protocol() {
        for (scheme, tls, versions) in [
            (Scheme::Http, false, (1, 1)),
            (Scheme::Https, true, (2, 1)),
            (Scheme::H2c, false, (2, 2)),
        ] {
            let peer = of(&node("127.0.0.1:3000", scheme), 0).expect("an address");
            let alpn = &peer.options.alpn;
            assert_eq!(peer.is_tls(), tls, "{scheme}");
            assert_eq!((alpn.get_max_http_version(), alpn.get_min_http_version()), versions);
            assert!(peer.options.verify_cert && peer.options.verify_hostname);
        }
    }

    #[test]
    fn tls_always_has_a_name_to_verify() {
        for (address, name) in [
            ("127.0.0.1:3000", "127.0.0.1"),
            ("[::1]:3000", "::1"),
            ("web.internal:3000", "web.internal"),
            ("unix:/run/app.sock", "localhost"),
        ] {
            let node = node(address, Scheme::Https);
            let endpoints = match &node.backend.address {
                BackendAddr::Name { .. } => Endpoints::Tcp(vec!["127.0.0.1:1".parse().unwrap()]),
                _ => Endpoints::clone(&node.live.endpoints()),
            };
            assert_eq!(peer(&node, &endpoints, 0).expect("an address").sni(), name);
        }
    }

    #[test]
    fn picks_go_round_the_addresses() {
        let node = node("web.internal:3000", Scheme::Http);
        assert!(of(&node, 0).is_none(), "not resolved yet");
        let addresses = ["127.0.0.1:1", "127.0.0.2:1"].map(|a| a.parse().unwrap());
        node.live.set_endpoints(Endpoints::Tcp(addresses.to_vec()));
        for (pick, address) in [(0, 0), (1, 1), (2, 0)] {
            let peer = of(&node, pick).expect("resolved");
            assert_eq!(peer.address().as_inet(), Some(&addresses[address]));
        }
    }

    #[test]
    fn a_connection_of_a_backend_that_moved_is_not_used_again() {
        let one = of(&node("127.0.0.1:3000", Scheme::Http), 0).unwrap();
        let mut moved = of(&node("127.0.0.1:3001", Scheme::Http), 0).unwrap();
        moved._address = one._address.clone();
        assert_ne!(one.reuse_hash(), moved.reuse_hash());
    }
}
