//! What the server counts, beside the counters that hang on domains and backends.
//!
//! Every room may count here; the control side reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::model::UpstreamFailure;
use crate::state::{BytePool, InFlight, Latency};

/// Why a request was refused, or failed. The names are stable: logs and scripts carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No virtual host answers for its host.
    UnknownHost,
    /// Its host is missing or can't be a host name.
    BadHost,
    /// The parser refused it.
    BadRequest,
    /// Its method is never proxied.
    MethodRefused,
    /// Its head was larger than allowed.
    HeadTooLarge,
    /// Its head did not arrive in time.
    HeadTimeout,
    /// Its body stopped arriving.
    BodyTimeout,
    /// The client went away before its answer was complete.
    ClientGone,
    /// The live tag has no backend that can take it.
    NoBackend,
    /// The last backend that it was tried on failed it.
    Upstream(UpstreamFailure),
    /// The proxy itself failed.
    Internal,
    /// The server stopped before it had ended.
    Shutdown,
    /// A TLS client named a host that nobody serves, or none.
    UnknownServerName,
    /// There is no certificate for the host that a TLS client named.
    NoCertificate,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// The TLS handshake did not end in time.
    HandshakeTimeout,
    /// Too many TLS handshakes were under way.
    TooManyHandshakes,
    /// Somebody asked for the answer to a challenge that no CA has set.
    UnknownChallenge,
    /// Its domain is worked on.
    Maintenance,
    /// It had no name and password that its domain knows.
    Unauthorized,
    /// Too many passwords were being checked.
    TooManyLogins,
    /// Its domain was paused for too long, or too many requests waited.
    Paused,
    /// Its target was longer than allowed.
    UriTooLong,
    /// It had more header fields than allowed.
    TooManyHeaders,
    /// Its body was larger than its domain allows.
    BodyTooLarge,
    /// Its client is not served by its domain.
    Denied,
    /// Nobody can say who its client is, and its domain goes by that.
    UnknownClient,
    /// Its domain, or its client, had made too many requests.
    RateLimited,
    /// Every backend was busy, and enough requests waited already.
    QueueFull,
    /// Every backend was busy for too long.
    QueueTimeout,
    /// There were too many connections.
    TooManyConnections,
    /// Its client had too many connections.
    TooManyClientConnections,
    /// Its client had too many requests at once.
    TooManyClientRequests,
    /// There were too many connections on which nothing was said.
    TooManySilentConnections,
    /// An HTTP/2 connection sent too many frames that only cost.
    H2Flood,
    /// Its TLS connection is not for its host.
    Misdirected,
    /// It has passed this server too often.
    LoopDetected,
    /// Somebody who is no trusted proxy connected where those announce clients.
    UntrustedProxy,
    /// A trusted proxy did not begin with a header of the PROXY protocol.
    BadProxyHeader,
    /// That header did not arrive in time.
    ProxyHeaderTimeout,
}

impl Reason {
    /// All but those of backends.
    const OWN: [Self; 39] = [
        Self::UnknownHost,
        Self::BadHost,
        Self::BadRequest,
        Self::MethodRefused,
        Self::HeadTooLarge,
        Self::HeadTimeout,
        Self::BodyTimeout,
        Self::ClientGone,
        Self::NoBackend,
        Self::Internal,
        Self::Shutdown,
        Self::UnknownServerName,
        Self::NoCertificate,
        Self::HandshakeFailed,
        Self::HandshakeTimeout,
        Self::TooManyHandshakes,
        Self::UnknownChallenge,
        Self::Maintenance,
        Self::Unauthorized,
        Self::TooManyLogins,
        Self::Paused,
        Self::UriTooLong,
        Self::TooManyHeaders,
        Self::BodyTooLarge,
        Self::Denied,
        Self::UnknownClient,
        Self::RateLimited,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::TooManyConnections,
        Self::TooManyClientConnections,
        Self::TooManyClientRequests,
        Self::TooManySilentConnections,
        Self::H2Flood,
        Self::Misdirected,
        Self::LoopDetected,
        Self::UntrustedProxy,
        Self::BadProxyHeader,
        Self::ProxyHeaderTimeout,
    ];

    /// Their number.
    const COUNT: usize = Self::OWN.len() + UpstreamFailure::ALL.len();

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OWN.into_iter().chain(UpstreamFailure::ALL.map(Self::Upstream))
    }

    /// Its place among all. Only what went wrong is looked up.
    fn index(self) -> usize {
        Self::all().position(|reason| reason == self).unwrap_or_default()
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown_host",
            Self::BadHost => "bad_host",
            Self::BadRequest => "bad_request",
            Self::MethodRefused => "method_refused",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::ClientGone => "client_gone",
            Self::NoBackend => "no_backend",
            Self::Upstream(failure) => failure.as_str(),
            Self::Internal => "internal",
            Self::Shutdown => "shutdown",
            Self::UnknownServerName => "unknown_server_name",
            Self::NoCertificate => "no_certificate",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::TooManyHandshakes => "too_many_handshakes",
            Self::UnknownChallenge => "unknown_challenge",
            Self::Maintenance => "maintenance",
            Self::Unauthorized => "unauthorized",
            Self::TooManyLogins => "too_many_logins",
            Self::Paused => "paused",
            Self::UriTooLong => "uri_too_long",
            Self::TooManyHeaders => "too_many_headers",
            Self::BodyTooLarge => "body_too_large",
            Self::Denied => "denied",
            Self::UnknownClient => "unknown_client",
            Self::RateLimited => "rate_limited",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyClientConnections => "too_many_client_connections",
            Self::TooManyClientRequests => "too_many_client_requests",
            Self::TooManySilentConnections => "too_many_silent_connections",
            Self::H2Flood => "h2_flood",
            Self::Misdirected => "misdirected",
            Self::LoopDetected => "loop_detected",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::BadProxyHeader => "bad_proxy_header",
            Self::ProxyHeaderTimeout => "proxy_header_timeout",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Lines that no log has, because its output was too slow or could not be written.
#[derive(Debug, Clone, Default)]
pub struct DroppedLines {
    /// Of the log.
    pub log: Arc<AtomicU64>,
    /// Of the access log.
    pub access_log: Arc<AtomicU64>,
}

/// How a reload of the config ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadEnd {
    /// What the config says is in effect, but for what wants a restart.
    Applied,
    /// Nothing was changed: the config is wrong, or what it wants can't be done.
    Failed,
}

impl ReloadEnd {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Applied, Self::Failed];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
        }
    }
}

/// The server's own counters. They never restart while it runs.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open client connections.
    pub connections: Arc<InFlight>,
    /// Connections on which a request is being read, answered, or both.
    pub busy: Arc<InFlight>,
    /// Calls at the admin socket that are being carried out and answered.
    pub calls: Arc<InFlight>,
    /// Bytes of bodies that were received and have not gone on.
    pub buffered: Arc<BytePool>,
    /// Log lines that were dropped.
    pub dropped_lines: DroppedLines,
    /// How long switches took, from the command to the end of the drain.
    pub switch_durations: Latency,
    stopping: AtomicBool,
    requests: AtomicU64,
    dropped_fields: AtomicU64,
    refused: Refused,
    reloads: [AtomicU64; ReloadEnd::ALL.len()],
}

/// A counter for each reason.
#[derive(Debug)]
struct Refused([AtomicU64; Reason::COUNT]);

impl Default for Refused {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Metrics {
    /// The counters of a server whose logs drop lines into `dropped_lines`.
    pub fn new(dropped_lines: DroppedLines) -> Self {
        Self { dropped_lines, ..Self::default() }
    }

    /// Says that the server is stopping: from now on no connection is kept.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Counts a request that has ended.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts fields of a request that no backend gets.
    pub fn count_dropped_fields(&self, count: u64) {
        self.dropped_fields.fetch_add(count, Ordering::Relaxed);
    }

    /// Fields of requests that no backend got.
    pub fn dropped_fields(&self) -> u64 {
        self.dropped_fields.load(Ordering::Relaxed)
    }

    /// Counts a request that was refused or failed.
    pub fn count_refused(&self, reason: Reason) {
        self.refused.0[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a reload of the config that has ended.
    pub fn count_reload(&self, end: ReloadEnd) {
        self.reloads[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Reloads of the config that ended so.
    pub fn reloads(&self, end: ReloadEnd) -> u64 {
        self.reloads[end as usize].load(Ordering::Relaxed)
    }

    /// Requests that have ended.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests refused or failed for this reason.
    pub fn refused_for(&self, reason: Reason) -> u64 {
        self.refused.0[reason.index()].load(Ordering::Relaxed)
    }

    /// Requests refused or failed, by the reasons that occurred.
    pub fn refused(&self) -> BTreeMap<String, u64> {
        Reason::all()
            .map(|reason| (reason.to_string(), self.refused_for(reason)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let metrics = Metrics::default();
        for reason in Reason::all() {
            metrics.count_refused(reason);
        }
        assert_eq!(metrics.refused().len(), Reason::COUNT);
        assert!(metrics.refused().values().all(|count| *count == 1));
    }
}
