//! A client that makes handshakes, and takes the time.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore};

const PATIENCE: Duration = Duration::from_secs(20);

/// Clients that shake hands at once.
const CLIENTS: usize = 8;

/// Trusts one root, and nothing else. Clones share their sessions.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
}

/// A handshake that was made.
pub(crate) struct Shaken {
    /// From the connection on, without the tickets that come behind it.
    pub(crate) took: Duration,
    pub(crate) is_resumed: bool,
    pub(crate) leaf: CertificateDer<'static>,
}

impl Client {
    /// A client that never resumes.
    pub(crate) fn new(roots: RootCertStore) -> Self {
        Self::with(roots, Resumption::disabled())
    }

    /// A client that resumes the sessions of up to so many names.
    pub(crate) fn resuming(roots: RootCertStore, names: usize) -> Self {
        Self::with(roots, Resumption::in_memory_sessions(names * 8))
    }

    fn with(roots: RootCertStore, resumption: Resumption) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.resumption = resumption;
        Self { config: Arc::new(config) }
    }

    /// What it is configured with, for those who speak HTTP/1.1 over it.
    pub(crate) fn http1(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Connects, shakes hands, and reads on until the tickets are there.
    pub(crate) fn shake(&self, address: SocketAddr, name: &str) -> std::io::Result<Shaken> {
        let server = ServerName::try_from(name.to_owned()).expect("a name");
        let mut connection = ClientConnection::new(Arc::clone(&self.config), server)
            .map_err(std::io::Error::other)?;
        let started = Instant::now();
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut stream)?;
        }
        let took = started.elapsed();
        // Without them the server may have more to do when the next handshake is timed already.
        while connection.tls13_tickets_received() == 0 {
            if connection.complete_io(&mut stream)? == (0, 0) {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let leaf = connection.peer_certificates().and_then(|chain| chain.first()).cloned();
        Ok(Shaken {
            took,
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            leaf: leaf.ok_or_else(|| std::io::Error::other("no certificate"))?,
        })
    }

    /// Shakes hands from several connections at once, as fast as they are answered, for as long as
    /// `work` takes. Gives how many handshakes were made, how many failed, and what took how long.
    pub(crate) fn while_shaking(
        &self,
        address: SocketAddr,
        names: &[String],
        work: impl FnOnce(),
    ) -> (Vec<Duration>, usize) {
        let (stop, failed) = (AtomicBool::new(false), AtomicUsize::new(0));
        let took = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (stop, failed) = (&stop, &failed);
                    scope.spawn(move || {
                        let mut took = Vec::new();
                        for name in names.iter().cycle().skip(client * names.len() / CLIENTS) {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            match self.shake(address, name) {
                                Ok(shaken) => took.push(shaken.took),
                                Err(_) => {
                                    failed.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        }
                        took
                    })
                })
                .collect();
            work();
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().expect("it ends")).collect()
        });
        (took, failed.into_inner())
    }
}
