//! One probe of one backend, independent of the last.
//!
//! It uses Pingora's connector, so that traffic can reach a backend that passes: the same TLS, the
//! same HTTP/2. Its constructor loads the system's root certificates and panics if there are none;
//! the server's start checks that before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use pingora::connectors::http::v2::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use crate::model::{
    BackendAddr, HealthCheck, HealthCheckKind, HealthHost, HealthPath, ProxyHeader, StatusRanges,
    UpstreamFailure as Failure,
};
use crate::state::{BackendNode, Endpoints};
use crate::upstream;

/// The outcome of a probe.
#[derive(Debug)]
pub(super) struct Probe {
    /// How long it took, to the status line.
    pub(super) latency: Duration,
    /// The HTTP status, if any.
    pub(super) status: Option<u16>,
    /// Why it failed, in a few words.
    pub(super) error: Option<String>,
    /// The address that it ended at.
    pub(super) address: Option<SocketAddr>,
}

impl Probe {
    /// A probe that ended in a bug of ours or Pingora's: it does not count as passed.
    pub(super) fn broken() -> Self {
        let error = Some("the probe itself failed; see the log".to_owned());
        Self { latency: Duration::ZERO, status: None, error, address: None }
    }

    /// A probe of a backend whose name has no address.
    pub(super) fn unresolved(host: &str, why: &str) -> Self {
        let error = Some(format!("name `{host}` did not resolve: {why}"));
        Self { latency: Duration::ZERO, status: None, error, address: None }
    }
}

/// Makes probes by the settings.
pub(super) struct Prober {
    check: HealthCheck,
    /// The HTTP/2 connector also speaks HTTP/1 if the peer's options say so, and its
    /// `new_http_session` never takes a connection from a pool.
    connector: Arc<Connector>,
}

impl Prober {
    pub(super) fn new(check: HealthCheck) -> Self {
        Self { check, connector: Arc::new(Connector::new(None)) }
    }

    /// Makes probes by another check.
    pub(super) fn with_check(&self, check: HealthCheck) -> Self {
        Self { check, connector: Arc::clone(&self.connector) }
    }

    /// Tries the addresses in order until one passes. Each gets an equal share of the remaining
    /// time, so that one that drops packets doesn't hide the next.
    pub(super) async fn probe(&self, node: &BackendNode, endpoints: &Endpoints) -> Probe {
        let started = Instant::now();
        let count = endpoints.len();
        let mut last = Probe::unresolved(&node.backend.address.to_string(), "no addresses");
        for pick in 0..count {
            let left = self.check.timeout.saturating_sub(started.elapsed());
            let share = left / u32::try_from(count - pick).unwrap_or(u32::MAX);
            let answer = match timeout(share, self.ask(node, endpoints, pick)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("timed out after {}", in_words(share))),
            };
            let address = match endpoints {
                Endpoints::Tcp(addresses) => addresses.get(pick).copied(),
                Endpoints::Unix(_) => None,
            };
            let (status, error) = match answer {
                Ok(status) => (status, self.unexpected(status)),
                Err(error) => (None, Some(error)),
            };
            let passed = error.is_none();
            let error = match address {
                Some(address) if count > 1 => error.map(|why| format!("{address}: {why}")),
                _ => error,
            };
            last = Probe { latency: started.elapsed(), status, error, address };
            if passed {
                break;
            }
        }
        last
    }

    async fn ask(
        &self,
        node: &BackendNode,
        endpoints: &Endpoints,
        pick: usize,
    ) -> Result<Option<u16>, String> {
        // Without a handshake it fails, whatever the request.
        let peer =
            upstream::peer(node, endpoints, pick).map_err(|error| upstream::reason(&error))?;
        match &self.check.kind {
            HealthCheckKind::Tcp => connect(node, endpoints, pick).await.map(|()| None),
            HealthCheckKind::Http { path, host, .. } => {
                self.get(node, peer, path, host.as_ref()).await.map(Some)
            }
        }
    }

    async fn get(
        &self,
        node: &BackendNode,
        mut peer: HttpPeer,
        path: &HealthPath,
        host: Option<&HealthHost>,
    ) -> Result<u16, String> {
        let words = |error: pingora::BError| upstream::reason(&error);
        // With room for one stream the connector doesn't put the connection into its pool.
        peer.options.max_h2_streams = 1;
        upstream::announce(&mut peer, node.backend.options.send_proxy_protocol, || {
            ProxyHeader::Local
        });
        let mut request = request(&node.backend.address, path, host)?;
        let mut session: HttpSession =
            self.connector.new_http_session(&peer).await.map_err(words)?;
        let is_http1 = session.as_http1().is_some();
        if is_http1 {
            upstream::check_http1(node.backend.options.scheme).map_err(words)?;
            // Not allowed in HTTP/2 (RFC 9113 §8.2.2), where dropping the session is enough.
            request.insert_header(CONNECTION, "close").map_err(words)?;
        } else {
            upstream::to_http2(&mut request, peer.is_tls()).map_err(words)?;
        }
        let words = |error: pingora::BError| in_words_of(node, &error);
        session.write_request_header(Box::new(request)).await.map_err(words)?;
        session.finish_request_body().await.map_err(words)?;
        let status = loop {
            session.read_response_header().await.map_err(words)?;
            match session.response_header().map(|header| header.status) {
                // Over HTTP/2 Pingora has removed them, and panics if asked again.
                Some(status) if is_http1 && status.is_informational() && status != 101 => {}
                Some(status) => break status.as_u16(),
                None => return Err("closed without an answer".into()),
            }
        };
        tokio::spawn(drain(session));
        Ok(status)
    }

    fn unexpected(&self, status: Option<u16>) -> Option<String> {
        let HealthCheckKind::Http { expected, .. } = &self.check.kind else { return None };
        unexpected(status?, expected)
    }
}

/// The error of a new connection. TLS alerts about a client certificate come only now, and are lost
/// over HTTP/2 (the h2 crate keeps no cause).
fn in_words_of(node: &BackendNode, error: &pingora::Error) -> String {
    let reason = upstream::reason(error);
    let ended = matches!(upstream::failure(error, false), Failure::Reset | Failure::Closed);
    match node.tls() {
        Ok(Some(tls)) if ended && !reason.starts_with("TLS") => match tls.client_certificate() {
            None => format!("{reason}; it may want a client certificate"),
            Some(_) => format!("{reason}; it may not trust the client certificate"),
        },
        _ => reason,
    }
}

fn unexpected(status: u16, expected: &StatusRanges) -> Option<String> {
    (!expected.contains(status)).then(|| format!("status {status}, expected {expected}"))
}

/// Only connects, and sends a PROXY header if the backend expects one.
async fn connect(node: &BackendNode, endpoints: &Endpoints, pick: usize) -> Result<(), String> {
    let header =
        ProxyHeader::Local.write(node.backend.options.send_proxy_protocol).unwrap_or_default();
    let connecting = async {
        match endpoints {
            Endpoints::Tcp(addresses) => {
                TcpStream::connect(&addresses[pick]).await?.write_all(&header).await
            }
            Endpoints::Unix(path) => UnixStream::connect(path).await?.write_all(&header).await,
        }
    };
    connecting.await.map_err(|error| upstream::io_reason(&error))
}

fn request(
    address: &BackendAddr,
    path: &HealthPath,
    host: Option<&HealthHost>,
) -> Result<RequestHeader, String> {
    let build = || {
        let mut request = RequestHeader::build("GET", path.as_str().as_bytes(), None)?;
        let host = host.map_or_else(|| host_of(address), |host| host.as_str().to_owned());
        request.insert_header(HOST, host)?;
        request.insert_header(USER_AGENT, USER_AGENT_VALUE)?;
        request.insert_header(ACCEPT, "*/*")?;
        Ok(request)
    };
    build().map_err(|error: pingora::BError| format!("the request cannot be made: {error}"))
}

const USER_AGENT_VALUE: &str = concat!("vhost-health/", env!("CARGO_PKG_VERSION"));

fn host_of(address: &BackendAddr) -> String {
    match address {
        BackendAddr::Ip(_) | BackendAddr::Name { .. } => address.without_zone(),
        BackendAddr::Unix(_) => "localhost".to_owned(),
    }
}

/// Reads the rest of a small answer before the connection closes: closing with unread bytes resets
/// it, which many servers log as an error at every probe.
async fn drain(mut session: HttpSession) {
    const MAX_DRAINED_BYTES: usize = 64 * 1024;
    let rest = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = session.read_response_body().await {
            read += chunk.len();
            if read > MAX_DRAINED_BYTES {
                break;
            }
        }
    };
    let _ = timeout(Duration::from_secs(1), rest).await;
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 {
        format!("{} ms", (seconds * 1000.0).round())
    } else {
        // At most one decimal, and none if it is 0.
        format!("{} s", (seconds * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests;
