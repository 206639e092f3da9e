//! The request path: an accepted connection becomes requests, each goes to a backend of its
//! domain's live tag.
//!
//! Reads the published state; takes no lock and waits for nothing but the network.

mod access_log;
mod answer;
mod arrival;
mod balance;
mod chunks;
mod claims;
mod client;
mod content;
mod context;
pub mod explain;
mod failure;
mod forwarded;
mod framed;
mod front;
mod gather;
mod given_up;
mod grpc;
mod handshake;
mod head;
mod header_blocks;
mod headers;
mod host;
mod hpack;
mod http2;
mod huffman;
mod intake;
mod limits;
mod malformed;
#[doc(hidden)]
pub mod measured;
mod memory;
mod phases;
mod redirect;
mod routing;
mod strict;
#[cfg(test)]
pub(crate) mod tests;
mod trace_context;
mod via;
mod wrapped;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderName;
use ipnet::IpNet;
use pingora::apps::HttpServerOptions;
use pingora::connectors::ConnectorOptions;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;

pub use front::{Front, TlsFront};
pub use handshake::HandshakeLimits;
pub use host::HostServices;
pub use host::pages::{PageKeeper, PageRules, Pages};
pub use limits::{ConnectionLimits, RequestLimits};
pub use memory::MemoryLimits;

use crate::acme::challenge::Challenges;
use crate::metrics::Metrics;
use crate::model::UnderscoresInHeaders;
use crate::state::Reader;
use crate::telemetry::AccessLog;
use crate::tls::{CertStore, Serving};

/// What the request path is told by the config.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Threads that carry traffic.
    pub threads: usize,
    /// How long a connection may be silent between requests.
    pub idle_timeout: Duration,
    /// How long a request's whole head may take.
    pub header_timeout: Duration,
    /// How long a client may be silent in the middle of a request body.
    pub read_timeout: Duration,
    /// How long a client may refuse to take bytes of an answer.
    pub write_timeout: Duration,
    /// How long a client that has ended its side is waited with for its answer; zero: not at all.
    pub half_close_timeout: Duration,
    /// How long an upgraded connection may be silent.
    pub websocket_idle_timeout: Duration,
    /// The largest request head, in bytes.
    pub max_header_bytes: usize,
    /// Clients whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which those name the client; without it that is `X-Forwarded-For`.
    pub client_ip_header: Option<HeaderName>,
    /// Whether header fields with an underscore in their name are passed on.
    pub underscores_in_headers: UnderscoresInHeaders,
    /// Whether proxies say on the HTTPS listener for whom they connect (PROXY protocol).
    pub proxy_protocol: bool,
    /// The same for the listener of plain HTTP.
    pub proxy_protocol_http: bool,
    /// Where each request is told.
    pub access_log: AccessLog,
    /// What is expected of TLS clients before they speak HTTP.
    pub handshakes: HandshakeLimits,
    /// What one request may be.
    pub limits: RequestLimits,
    /// What connections may be.
    pub connections: ConnectionLimits,
    /// What may be held in memory for clients.
    pub memory: MemoryLimits,
    /// What is expected of backends.
    pub upstream: UpstreamOptions,
}

/// What HTTPS is served with, and what plain HTTP is redirected by.
pub struct Https {
    /// The certificates by name.
    pub certificates: CertStore,
    /// What CAs ask for.
    pub challenges: Challenges,
    /// What all handshakes have in common.
    pub serving: Serving,
    /// The port of the HTTPS listener.
    pub port: u16,
    /// Whether an ACME CA is configured, so that challenges are ours to answer.
    pub acme: bool,
}

/// What the request path expects of backends.
#[derive(Debug, Clone)]
pub struct UpstreamOptions {
    /// How long a connection may take to be made, TLS included.
    pub connect_timeout: Duration,
    /// How long a backend may be silent.
    pub read_timeout: Duration,
    /// How long a backend may refuse to take bytes.
    pub write_timeout: Duration,
    /// How long an unused connection is kept; below the backend's own keep-alive time.
    pub idle_timeout: Duration,
    /// Backends that a request is tried on, at most.
    pub max_tries: usize,
    /// Whether 5xx answers count as failures of the backend.
    pub count_5xx: bool,
    /// Requests that may run at once on one backend; nothing is any number.
    pub max_requests: Option<NonZeroUsize>,
    /// Requests of a pool that may wait for a backend with room.
    pub queue_size: usize,
    /// How long each waits at most.
    pub queue_timeout: Duration,
    /// The share of running requests that may be tried on a further backend, 0 to 100.
    pub retry_budget_percent: u8,
    /// How long the share of a backend that has become healthy grows; zero is not at all.
    pub slow_start: Duration,
}

/// The options, as a reload may replace them. What has begun goes on with those it began with: a
/// request, and a connection until its next head.
pub type SharedOptions = Arc<ArcSwap<ProxyOptions>>;

/// Which failures are tried again is decided in the phases; this is only Pingora's ceiling, above the
/// most tries that a config may ask for.
const MOST_RETRIES: usize = 100;

/// Builds the front that listeners hand their connections to.
pub fn front(
    options: SharedOptions,
    reader: Reader,
    metrics: Arc<Metrics>,
    https: Option<Arc<Https>>,
    hosts: HostServices,
) -> Front {
    let conf = Arc::new(ServerConf {
        threads: options.load().threads,
        max_retries: MOST_RETRIES,
        ..ServerConf::default()
    });
    let phases =
        phases::Phases::new(Arc::clone(&options), reader, Arc::clone(&metrics), https, hosts);
    let mut server_options = HttpServerOptions::default();
    // CONNECT is refused in the phases: with a log line and a counter.
    server_options.allow_connect_method_proxying = true;
    let connections = phases.connections().clone();
    let connector = memory::GatedConnector::new(ConnectorOptions::from_server_conf(&conf));
    let mut proxy =
        HttpProxy::new_custom(phases, conf, connector, None, Some(server_options), None);
    proxy.handle_init_modules();
    Front::new(Arc::new(proxy), options, metrics, connections)
}

/// Builds the front of HTTPS listeners: handshakes, and then what `front` does.
pub fn tls_front(
    front: Front,
    https: Arc<Https>,
    reader: Reader,
    metrics: Arc<Metrics>,
) -> TlsFront {
    TlsFront::new(front, handshake::Handshakes::new(https, reader, metrics))
}
