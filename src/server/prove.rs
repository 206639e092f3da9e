//! A request of the new process to itself, before it reports ready.
//!
//! Listening sockets are shared with the server before, so that either process may accept what comes there. So the sockets
//! themselves are asked whether they listen (`sockets.rs`), and what stands behind them gets a request over a listener
//! that nobody else knows: the same accept loop, front, handshake and carrier, on the runtime of traffic. Its state is
//! empty, so that no backend has a part in it, and it is counted nowhere. The log has both refusals, as of any client.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::ServerError;
use super::listen::Listener;
use super::settle::proxy_options;
use crate::config::Config;
use crate::counters::Metrics;
use crate::proxy::{self, HostServices, Https, Serve};
use crate::state::{Snapshot, publication};
use crate::telemetry::AccessLog;

/// How long an answer may take. It takes a millisecond; the machine may have much to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// A name that nobody has (RFC 6761 §6.4).
const NAME: &str = "self-request.invalid";

/// Has this process answer a request, and a handshake where there are any.
///
/// # Errors
/// When it doesn't.
pub(super) fn prove(
    config: &Config,
    https: Option<&Arc<Https>>,
    hosts: HostServices,
    traffic: &Runtime,
    control: &Runtime,
) -> Result<(), ServerError> {
    let (_publisher, reader) = publication(Snapshot::default());
    let metrics = Arc::new(Metrics::default());
    let mut options = proxy_options(config, AccessLog::default());
    // Of a load balancer, which this is not.
    (options.proxy_protocol, options.proxy_protocol_http) = (false, false);
    let options = Arc::new(ArcSwap::from_pointee(options));
    let front = proxy::front(options, reader.clone(), Arc::clone(&metrics), https.cloned(), hosts);
    // Dropped at the end, which ends both accept loops.
    let (_stop, stopped) = watch::channel(false);
    let failed = |of| move |source| ServerError::SelfRequest { of, source };
    let address = serve(traffic, front.clone(), &stopped).map_err(failed("HTTP"))?;
    control.block_on(within(request(address))).map_err(failed("HTTP"))?;
    if let Some(https) = https {
        let front = proxy::tls_front(front, Arc::clone(https), reader, metrics);
        let address = serve(traffic, front, &stopped).map_err(failed("HTTPS"))?;
        control.block_on(within(handshake(address))).map_err(failed("HTTPS"))?;
    }
    Ok(())
}

/// Serves at a port of the machine's own that the kernel chooses.
fn serve<A: Serve>(
    traffic: &Runtime,
    front: A,
    stopped: &watch::Receiver<bool>,
) -> io::Result<SocketAddr> {
    let listener = traffic.block_on(async {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await {
            Err(_) => TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await,
            bound => bound,
        }
    })?;
    let listener = Listener::new(listener)?;
    let address = listener.address();
    let mut ended = stopped.clone();
    let serving = listener.serve(front, stopped.clone());
    traffic.spawn(async move {
        tokio::select! {
            () = serving => {}
            // The sender is dropped.
            _ = ended.wait_for(|ended| *ended) => {}
        }
    });
    Ok(address)
}

async fn within(answered: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(PATIENCE, answered).await.map_err(|_| io::ErrorKind::TimedOut)?
}

async fn request(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("GET / HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 ") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// A handshake for a name that there is no certificate for: the answer is an alert, or the default certificate.
async fn handshake(address: SocketAddr) -> io::Result<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = NAME.try_into().map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut hello = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut hello)?;
    }
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&hello).await?;
    let mut record = [0; 5];
    stream.read_exact(&mut record).await?;
    // An alert or a handshake of TLS (RFC 8446 §5.1).
    if matches!(record, [21 | 22, 3, ..]) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
