//! Backends as Pingora's peers: addresses, versions of HTTP, TLS, windows.

use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::reason::{NO_HANDSHAKE, NO_HTTP2};
use crate::model::{Scheme, SendProxyProtocol};
use crate::state::{BackendNode, Endpoints};

/// Requests at once on an HTTP/2 connection with a backend.
const MAX_H2_STREAMS: u32 = 100;

/// The HTTP/2 window of one answer: how much a backend may send before its client has read any.
/// Pingora's default is 8 MiB, for a connection as well.
const H2_STREAM_WINDOW: u32 = 128 * 1024;

/// The same for requests with a body, and for all such requests on one connection. While Pingora
/// waits until the backend reads more of a body it reads nothing of the answer, so a backend that
/// answers while it reads, as in gRPC calls, needs a window for its answer, or both block for ever.
const H2_DUPLEX_WINDOW: u32 = 8 * 1024 * 1024;
const H2_DUPLEX_CONNECTION_WINDOW: u32 = 4 * H2_DUPLEX_WINDOW;

/// The pool group of connections for requests with a body, because windows belong to a connection.
const DUPLEX_GROUP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The peer at the `pick`th of the backend's `endpoints`, modulo their number. In the clear this
/// allocates nothing; over TLS only the name, which a peer must own.
///
/// # Errors
/// When its name has not been resolved, or the files of its TLS can't be used.
pub(crate) fn peer(
    node: &BackendNode,
    endpoints: &Endpoints,
    pick: usize,
) -> pingora::Result<HttpPeer> {
    let tls = node.tls().map_err(|error| {
        Error::explain(ErrorType::InvalidCert, format!("{NO_HANDSHAKE}{error}")).into_up()
    })?;
    let sni = tls.map_or_else(String::new, |tls| tls.server_name().to_owned());
    let unroutable = || Error::explain(ErrorType::ConnectNoRoute, "no address").into_up();
    let mut peer = match endpoints {
        Endpoints::Tcp(addresses) => {
            let pick = pick.checked_rem(addresses.len()).ok_or_else(unroutable)?;
            // Never a name: Pingora would resolve it here, and panic on failure.
            HttpPeer::new(addresses[pick], tls.is_some(), sni)
        }
        Endpoints::Unix(path) => {
            HttpPeer::new_uds(path.to_str().ok_or_else(unroutable)?, tls.is_some(), sni)?
        }
    };
    peer.group_key = node.connection_group();
    match node.backend.options.scheme {
        Scheme::Http => {}
        // A connection for one client: over HTTP/2 Pingora would share it.
        Scheme::Https if node.backend.options.send_proxy_protocol != SendProxyProtocol::Off => {}
        Scheme::Https => peer.options.set_http_version(2, 1),
        Scheme::H2 | Scheme::H2c => peer.options.set_http_version(2, 2),
    }
    if let Some(tls) = tls {
        peer.options.verify_cert = tls.is_verified();
        peer.options.ca = tls.authorities().cloned();
        peer.client_cert_key = tls.client_certificate().cloned();
    }
    // Pingora's default is 1, which makes an HTTP/2 connection no better than an HTTP/1 one.
    peer.options.max_h2_streams = MAX_H2_STREAMS as usize;
    // Data of a stream is held until its client reads it, and it must not use up the connection's
    // window of the others.
    peer.options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
    peer.options.h2_connection_window_size = Some(H2_STREAM_WINDOW * MAX_H2_STREAMS);
    Ok(peer)
}

/// Sets up a peer for a request with a body, if it is over HTTP/2.
pub(crate) fn for_duplex(peer: &mut HttpPeer) {
    peer.options.h2_stream_window_size = Some(H2_DUPLEX_WINDOW);
    peer.options.h2_connection_window_size = Some(H2_DUPLEX_CONNECTION_WINDOW);
    peer.group_key ^= DUPLEX_GROUP;
}

/// Refuses HTTP/1 if the backend must speak HTTP/2: if it doesn't offer `h2`, Pingora continues
/// with HTTP/1 whatever the peer's options say.
///
/// # Errors
/// When the backend's scheme has no HTTP/1.
pub(crate) fn check_http1(scheme: Scheme) -> pingora::Result<()> {
    match scheme {
        Scheme::Http | Scheme::Https => Ok(()),
        Scheme::H2 | Scheme::H2c => Err(Error::new_up(NO_HTTP2)),
    }
}

/// Whether a connection of the peer is HTTP/1, whatever the backend offers: because its scheme or
/// the request needs that, or because the backend has offered nothing else so far.
pub(crate) fn speaks_only_http1(peer: &HttpPeer, node: &BackendNode) -> bool {
    match peer.options.alpn.get_max_http_version() {
        1 => true,
        _ => node.backend.options.scheme == Scheme::Https && node.live.speaks_only_http1(),
    }
}

/// Whether a request goes to the backend over HTTP/1: because its scheme or the request needs that, or
/// because the backend has offered nothing else so far.
pub(crate) fn is_http1(node: &BackendNode, is_websocket: bool) -> bool {
    let options = &node.backend.options;
    is_websocket
        || match options.scheme {
            Scheme::Http => true,
            Scheme::Https => {
                options.send_proxy_protocol != SendProxyProtocol::Off
                    || node.live.speaks_only_http1()
            }
            Scheme::H2 | Scheme::H2c => false,
        }
}

/// The path of a Unix socket.
pub(super) fn path_of(address: &UnixAddr) -> pingora::Result<&Path> {
    address.as_pathname().ok_or_else(|| Error::explain(ErrorType::ConnectError, "no path"))
}

#[cfg(test)]
mod tests {
    use pingora::upstreams::peer::Peer;

    use super::*;
    use crate::model::{Backend, BackendOptions, BackendState};

    fn node(address: &str, scheme: Scheme) -> BackendNode {
        BackendNode::new(
            Backend {
                id: "w1".parse().unwrap(),
                address: address.parse().unwrap(),
                tags: ["a".parse().unwrap()].into(),
                options: BackendOptions { scheme, ..BackendOptions::default() },
                state: BackendState::Ready,
            },
            None,
            &crate::tls::PeerFiles::default(),
        )
    }

    fn of(node: &BackendNode, pick: usize) -> pingora::Result<HttpPeer> {
        peer(node, &node.live.endpoints(), pick)
    }

    #[test]
    fn every_scheme_speaks_its_own_protocol() {
        for (scheme, tls, versions) in [
            (Scheme::Http, false, (1, 1)),
            (Scheme::Https, true, (2, 1)),
            (Scheme::H2, true, (2, 2)),
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
    fn picks_go_round_the_addresses() {
        let node = node("web.internal:3000", Scheme::Http);
        assert!(of(&node, 0).is_err(), "not resolved yet");
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

    /// The backend with its files as they are now.
    fn read(backend: Backend) -> BackendNode {
        let mut files = crate::tls::PeerFiles::default();
        let _ = files.read(&backend.options);
        BackendNode::new(backend, None, &files)
    }

    #[test]
    fn connections_made_by_other_rules_are_not_shared() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &(String, String)| {
            let path = directory.path().join(name);
            std::fs::write(&path, format!("{}{}", content.0, content.1)).unwrap();
            Some(path)
        };
        let made = || crate::tls::testing::self_signed_pem(&["web.internal"]);
        let same = BackendOptions::default;
        let (ca, pair) = (file("ca.pem", &made()), file("pair.pem", &made()));
        let hash = |scheme, options| {
            let options = BackendOptions { scheme, ..options };
            let backend = Backend { options, ..node("127.0.0.1:3000", scheme).backend };
            of(&read(backend), 0).unwrap().reuse_hash()
        };
        let authority = || BackendOptions { tls_ca_file: ca.clone(), ..same() };
        let mut hashes = vec![
            hash(Scheme::Https, same()),
            hash(Scheme::H2, same()),
            hash(Scheme::Https, authority()),
            hash(Scheme::Https, BackendOptions { tls_insecure_skip_verify: true, ..same() }),
            hash(
                Scheme::Https,
                BackendOptions { tls_server_name: "a.test".parse().ok(), ..same() },
            ),
            hash(
                Scheme::Https,
                BackendOptions {
                    tls_client_cert_file: pair.clone(),
                    tls_client_key_file: pair.clone(),
                    ..same()
                },
            ),
        ];
        assert_eq!(hash(Scheme::Https, authority()), hashes[2], "the same rules");
        file("ca.pem", &made());
        hashes.push(hash(Scheme::Https, authority()));
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn a_peer_is_given_all_that_its_handshakes_need() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pair.pem");
        let (cert, key) = crate::tls::testing::self_signed_pem(&["web.internal"]);
        std::fs::write(&path, cert + &key).unwrap();
        let options = BackendOptions {
            scheme: Scheme::H2,
            tls_server_name: "web.internal".parse().ok(),
            tls_ca_file: Some(path.clone()),
            tls_client_cert_file: Some(path.clone()),
            tls_client_key_file: Some(path.clone()),
            ..BackendOptions::default()
        };
        let backend = Backend { options, ..node("127.0.0.1:3000", Scheme::H2).backend };
        let found = of(&read(backend.clone()), 0).unwrap();
        assert_eq!(found.sni(), "web.internal");
        assert!(found.get_client_cert_key().is_some() && found.get_ca().is_some());
        std::fs::remove_file(&path).unwrap();
        let error = of(&read(backend), 0).unwrap_err();
        let said = format!("TLS: `tls_ca_file` `{}`: there is no such file", path.display());
        assert_eq!(crate::upstream::reason(&error), said);
    }
}
