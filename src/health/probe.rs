//! One probe of one backend, independent of the last.
//!
//! It uses Pingora's connector, so that traffic can reach a backend that passes: the same TLS, the
//! same HTTP/2. Its constructor loads the system's root certificates and panics if there are none;
//! the server's start checks that before.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use pingora::connectors::http::v2::Connector;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::exchange::{Exchange, Seen};
use super::patterns::Patterns;
use crate::model::{HealthCheck, HealthCheckKind, ProxyHeader, SendProxyProtocol};
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
    /// The address of the backend that it ended at; none where it went to another port, which says
    /// nothing about traffic.
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

/// Makes probes.
pub(super) struct Prober {
    /// The HTTP/2 connector also speaks HTTP/1 if the peer's options say so, and its
    /// `new_http_session` never takes a connection from a pool.
    connector: Connector,
    patterns: Patterns,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self { connector: Connector::new(None), patterns: Patterns::default() }
    }

    /// Tries the addresses in order until one passes. Each gets an equal share of the remaining
    /// time, so that one that drops packets doesn't hide the next.
    pub(super) async fn probe(
        &self,
        check: &HealthCheck,
        node: &BackendNode,
        endpoints: &Endpoints,
    ) -> Probe {
        let started = Instant::now();
        let at_port = check.port.map(|port| with_port(endpoints, port));
        let probed = at_port.as_ref().unwrap_or(endpoints);
        let count = probed.len();
        let mut last = Probe::unresolved(&node.backend.address.to_string(), "no addresses");
        for pick in 0..count {
            let left = check.timeout.saturating_sub(started.elapsed());
            let share = left / u32::try_from(count - pick).unwrap_or(u32::MAX);
            let mut seen = Seen::default();
            let answer = match timeout(share, self.ask(check, node, probed, pick, &mut seen)).await
            {
                Ok(answer) => answer,
                Err(_) if seen.status.is_some() => {
                    Err(format!("timed out after {} in the body of the answer", in_words(share)))
                }
                Err(_) => Err(format!("timed out after {}", in_words(share))),
            };
            let address = |endpoints: &Endpoints| match endpoints {
                Endpoints::Tcp(addresses) => addresses.get(pick).copied(),
                Endpoints::Unix(_) => None,
            };
            let error = answer.err().map(|why| match (address(probed), check.port) {
                (Some(address), _) if count > 1 => format!("{address}: {why}"),
                (_, Some(port)) => format!("port {port}: {why}"),
                _ => why,
            });
            let passed = error.is_none();
            last = Probe {
                latency: started.elapsed(),
                status: seen.status,
                error,
                address: address(endpoints).filter(|_| check.port.is_none()),
            };
            if passed {
                break;
            }
        }
        last
    }

    async fn ask(
        &self,
        check: &HealthCheck,
        node: &BackendNode,
        endpoints: &Endpoints,
        pick: usize,
        seen: &mut Seen,
    ) -> Result<(), String> {
        // Without a handshake it fails, whatever the request.
        let peer =
            upstream::peer(node, endpoints, pick).map_err(|error| upstream::reason(&error))?;
        // At another port is another server, which need not know it.
        let announce = match check.port {
            Some(_) => SendProxyProtocol::Off,
            None => node.backend.options.send_proxy_protocol,
        };
        let (connector, patterns) = (&self.connector, &self.patterns);
        let host = || check.host_of(&node.backend.address);
        let mut exchange = Exchange { connector, patterns, node, peer, announce, seen };
        match &check.kind {
            HealthCheckKind::Tcp => connect(announce, endpoints, pick).await,
            HealthCheckKind::Http(check) => exchange.request(check, host).await,
            HealthCheckKind::Grpc(check) => exchange.call(check, host).await,
        }
    }
}

fn with_port(endpoints: &Endpoints, port: NonZeroU16) -> Endpoints {
    match endpoints {
        Endpoints::Tcp(addresses) => {
            let mut addresses = addresses.clone();
            for address in &mut addresses {
                address.set_port(port.get());
            }
            Endpoints::Tcp(addresses)
        }
        Endpoints::Unix(path) => Endpoints::Unix(path.clone()),
    }
}

/// Only connects, and sends a PROXY header if the backend expects one.
async fn connect(
    announce: SendProxyProtocol,
    endpoints: &Endpoints,
    pick: usize,
) -> Result<(), String> {
    let header = ProxyHeader::Local.write(announce).unwrap_or_default();
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
