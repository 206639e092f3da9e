//! What the configuration says to the request path.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderName;
use ipnet::IpNet;

use crate::acme::challenge::Challenges;
use crate::heads::Set;
use crate::heads::names::{
    FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP,
};
use crate::model::{ForwardedHeaders, UnderscoresInHeaders};
use crate::telemetry::AccessLog;
use crate::tls::{CertStore, Serving};

/// The settings of the request path.
#[derive(Debug, Clone)]
pub(crate) struct ProxyOptions {
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
    /// The headers about the client that backends get.
    pub forwarded_headers: Set,
    /// Whether proxies say on the HTTPS listener for whom they connect (PROXY protocol).
    pub proxy_protocol: bool,
    /// The same for the listener of plain HTTP.
    pub proxy_protocol_http: bool,
    /// Where each request is logged.
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

/// The names of the headers that are chosen.
pub(crate) fn forwarded_names(chosen: &[ForwardedHeaders]) -> Set {
    const X_FORWARDED: Set = Set::of(&[X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST]);
    let names = chosen.iter().map(|chosen| match chosen {
        ForwardedHeaders::XForwarded => X_FORWARDED,
        ForwardedHeaders::Forwarded => Set::of(&[FORWARDED]),
        ForwardedHeaders::XRealIp => Set::of(&[X_REAL_IP]),
        ForwardedHeaders::XForwardedPort => Set::of(&[X_FORWARDED_PORT]),
    });
    names.fold(Set::default(), Set::and)
}

/// What HTTPS is served with, and what plain HTTP is redirected by.
pub(crate) struct Https {
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
pub(crate) struct UpstreamOptions {
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
    /// Requests that may run at once on a backend that has no limit of its own; nothing is any number.
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
pub(crate) type SharedOptions = Arc<ArcSwap<ProxyOptions>>;

/// What one request may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLimits {
    /// Its header fields.
    pub headers: usize,
    /// Its target, in bytes.
    pub uri_bytes: usize,
    /// How fast its body must come; 0 is any speed.
    pub body_bytes_per_sec: u32,
    /// How long it may be slower.
    pub body_grace: Duration,
}

/// What connections may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// How many there may be.
    pub in_all: usize,
    /// How many of one client.
    pub per_client: u32,
    /// How many on which nothing was said yet.
    pub silent: usize,
    /// Requests at once of one client, on all of its connections.
    pub client_requests: u32,
    /// Requests on each.
    pub requests: u32,
    /// Requests at once on each of HTTP/2.
    pub h2_streams: u32,
    /// Frames that only cost, on each of HTTP/2.
    pub h2_control_frames_per_sec: u32,
}

/// What may be held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// On behalf of a connection.
    pub per_connection: usize,
    /// On behalf of a client.
    pub per_client: usize,
    /// In all.
    pub in_all: usize,
    /// By h2 for each stream, of what it can't send yet.
    pub h2_send_buffer: usize,
}

/// The limits of a handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandshakeLimits {
    /// How long it may take, but for the wait for a certificate.
    pub total: Duration,
    /// How many may be under way at once, from their whole hello on.
    pub at_once: usize,
}
