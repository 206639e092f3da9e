//! A TLS client that tells what was agreed on.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind,
    ProtocolVersion, RootCertStore, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};
use tokio_rustls::TlsConnector;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::frames::asynchronous;
use super::{Client, H2, WebSocket};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A blocking connection behind TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// How a client speaks TLS: whom it trusts and what it offers.
#[derive(Clone)]
pub(crate) struct TlsClient {
    verifier: Arc<dyn ServerCertVerifier>,
    config: ClientConfig,
}

impl TlsClient {
    /// Trusts what these roots (PEM) have signed, and nothing else.
    pub(crate) fn trusting(roots: &str) -> Self {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            store.add(root.expect("PEM")).expect("a root certificate");
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), provider())
            .build()
            .unwrap_or_else(|error| panic!("{error}: {roots:?}"));
        Self::new(verifier, rustls::DEFAULT_VERSIONS)
    }

    /// Trusts whoever holds the key of whatever certificate: for looking at it.
    pub(crate) fn accepts_any() -> Self {
        Self::new(Arc::new(AcceptsAny(provider())), rustls::DEFAULT_VERSIONS)
    }

    fn new(
        verifier: Arc<dyn ServerCertVerifier>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("the provider knows TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier))
            .with_no_client_auth();
        // A resumed session shows the certificate of the one before.
        config.resumption = Resumption::disabled();
        Self { verifier, config }
    }

    /// Offers these protocols by ALPN.
    pub(crate) fn alpn(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols =
            protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Keeps sessions and resumes them; so do its clones.
    pub(crate) fn resuming(mut self) -> Self {
        self.config.resumption = Resumption::in_memory_sessions(32);
        self
    }

    /// Speaks only this version.
    pub(crate) fn only(self, version: &'static SupportedProtocolVersion) -> Self {
        let Self { mut config, verifier } = Self::new(self.verifier, &[version]);
        config.alpn_protocols = self.config.alpn_protocols;
        config.resumption = self.config.resumption;
        Self { verifier, config }
    }

    /// Connects and shakes hands. Without a name none is sent, and the certificate must be for the
    /// IP.
    pub(crate) fn connect(
        &self,
        address: SocketAddr,
        name: Option<&str>,
    ) -> std::io::Result<Client<TlsStream>> {
        self.over(TcpStream::connect_timeout(&address, PATIENCE)?, name)
    }

    /// Shakes hands on a connection.
    pub(crate) fn over(
        &self,
        mut stream: TcpStream,
        name: Option<&str>,
    ) -> std::io::Result<Client<TlsStream>> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let name = server_name(stream.peer_addr()?, name);
        let config = Arc::new(self.config.clone());
        let mut connection = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Client::over(StreamOwned::new(connection, stream)))
    }

    /// The first bytes of a handshake: a whole hello.
    pub(crate) fn hello(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut connection =
            ClientConnection::new(Arc::new(self.config.clone()), name).expect("a client");
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).expect("a vector takes all");
        bytes
    }

    /// Connects, shakes hands and speaks HTTP/2, whatever was agreed on.
    pub(crate) async fn connect_h2(
        &self,
        address: SocketAddr,
        name: Option<&str>,
    ) -> std::io::Result<(H2, Handshake)> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        self.h2(stream, address, name).await
    }

    /// The same on a connection that something was said on already.
    pub(crate) async fn h2_over(
        &self,
        stream: TcpStream,
        name: Option<&str>,
    ) -> std::io::Result<(H2, Handshake)> {
        let address = stream.peer_addr()?;
        self.h2(asynchronous(stream), address, name).await
    }

    async fn h2(
        &self,
        stream: tokio::net::TcpStream,
        address: SocketAddr,
        name: Option<&str>,
    ) -> std::io::Result<(H2, Handshake)> {
        let mut config = self.config.clone();
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let connecting =
            TlsConnector::from(Arc::new(config)).connect(server_name(address, name), stream);
        let stream = tokio::time::timeout(PATIENCE, connecting).await??;
        let handshake = Handshake::of(stream.get_ref().1);
        Ok((H2::over(stream, "https").await, handshake))
    }

    /// Opens a WebSocket to a backend's `/ws`.
    pub(crate) fn open_web_socket(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> Result<WebSocket<TlsStream>, String> {
        let client = self.connect(address, Some(host)).map_err(|error| error.to_string())?;
        WebSocket::try_open_over(client.into_stream(), host)
    }
}

/// What was agreed on in a handshake.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    /// The peer's certificate and those that came with it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The protocol by ALPN.
    pub(crate) alpn: Option<String>,
    pub(crate) version: ProtocolVersion,
    /// Whether an earlier session was resumed, without a certificate on the wire.
    pub(crate) resumed: bool,
}

impl Handshake {
    fn of(connection: &ClientConnection) -> Self {
        let alpn = connection.alpn_protocol();
        Self {
            chain: connection.peer_certificates().unwrap_or_default().to_vec(),
            alpn: alpn.map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
            version: connection.protocol_version().expect("the handshake has ended"),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// The serial number of the peer's certificate.
    pub(crate) fn serial(&self) -> String {
        serial_of(&self.chain)
    }
}

impl Client<TlsStream> {
    pub(crate) fn handshake(&self) -> Handshake {
        Handshake::of(&self.stream().conn)
    }
}

/// The serial number of the first certificate, in hexadecimal, as the admin socket writes it.
pub(crate) fn serial_of(chain: &[CertificateDer<'_>]) -> String {
    leaf_of(chain).raw_serial().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The names and IPs that the first certificate is for, sorted.
pub(crate) fn names_of(chain: &[CertificateDer<'_>]) -> Vec<String> {
    let leaf = leaf_of(chain);
    let extension = leaf.subject_alternative_name().expect("one list of names");
    let names = extension.map(|extension| extension.value.general_names.as_slice());
    let mut names: Vec<_> = names
        .unwrap_or_default()
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes).map_or_else(
                |_| format!("{bytes:?}"),
                |ip| std::net::Ipv4Addr::from(ip).to_string(),
            ),
            other => format!("{other:?}"),
        })
        .collect();
    names.sort();
    names
}

fn leaf_of<'a>(chain: &'a [CertificateDer<'_>]) -> X509Certificate<'a> {
    X509Certificate::from_der(chain.first().expect("a certificate")).expect("X.509").1
}

/// The alert that ended a handshake.
pub(crate) fn alert_of(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

fn server_name(address: SocketAddr, name: Option<&str>) -> ServerName<'static> {
    match name {
        Some(name) => ServerName::try_from(name.to_owned()).expect("a name"),
        None => address.ip().into(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    // Several crates of this build bring a provider, so none is the default.
    Arc::new(rustls::crypto::ring::default_provider())
}

#[derive(Debug)]
struct AcceptsAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptsAny {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
