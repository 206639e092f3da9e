//! The validated configuration, and every default.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Declared, Problem, Setting};
use crate::model::{
    AccessLogSettings, ChallengeKind, DomainName, HeaderField, HealthCheck, KeyType,
    LoggingSettings, TrustedProxy, UnderscoresInHeaders,
};
use crate::reserved_paths::ReservedPaths;
use crate::tls::PeerFiles;

/// All that a server is told before it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The client's side, and the process itself.
    pub proxy: ProxySettings,
    /// The backends' side.
    pub upstream: UpstreamSettings,
    /// The gate and the drain of switches.
    pub switch: SwitchSettings,
    /// How health is found.
    pub health_check: HealthCheckSettings,
    /// What is logged, how and where.
    pub logging: LoggingSettings,
    /// The line that each request leaves, where wanted.
    pub access_log: AccessLogSettings,
    /// Certificates from Let's Encrypt, where wanted.
    pub lets_encrypt: Option<LetsEncryptSettings>,
    /// Where certificates, keys and accounts are kept.
    pub cache_dir: PathBuf,
    /// The metrics endpoint.
    pub metrics: MetricsSettings,
    /// The domains and backends.
    pub declared: Declared,
    /// The files that it names as error pages, wherever they are.
    pub named_pages: BTreeSet<PathBuf>,
    /// What is allowed and dangerous, or will be missed.
    pub warnings: Vec<Problem>,
    /// Certificates, keys and CAs that can't be used as they are now. A server starts all the same,
    /// without them; a check and a reload refuse the config.
    pub bad_files: Vec<Problem>,
    /// What the files of declared backends hold.
    pub peer_files: PeerFiles,
    /// Every key of the sections, with its value and where that came from. Empty where no file and no
    /// arguments were read. A section that is off as a whole, such as `[lets_encrypt]`, is not in it.
    pub effective: Vec<Setting>,
    /// The files that were read, the main one first.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// A configuration in which everything but `proxy` has its default.
    pub fn new(proxy: ProxySettings) -> Self {
        Self {
            cache_dir: proxy.state_dir.join("certs"),
            proxy,
            upstream: UpstreamSettings::default(),
            switch: SwitchSettings::default(),
            health_check: HealthCheckSettings::default(),
            logging: LoggingSettings::default(),
            access_log: AccessLogSettings::default(),
            lets_encrypt: None,
            metrics: MetricsSettings::default(),
            declared: Declared::default(),
            named_pages: BTreeSet::new(),
            warnings: Vec::new(),
            bad_files: Vec::new(),
            peer_files: PeerFiles::default(),
            effective: Vec::new(),
            files: Vec::new(),
        }
    }
}

impl Config {
    /// What is the server's own: nobody is served from there.
    pub fn reserved_paths(&self) -> ReservedPaths {
        let proxy = &self.proxy;
        let management =
            proxy.management_api_addr.map(|address| ("proxy.management_api_addr", address));
        let metrics = &self.metrics;
        let metrics = metrics.enabled.then_some(("metrics.listen_addr", metrics.listen_addr));
        ReservedPaths::new(
            proxy.admin_socket.clone(),
            vec![proxy.state_dir.clone(), self.cache_dir.clone()],
            management.into_iter().chain(metrics).collect(),
        )
    }
}

/// `[proxy]`: the client's side, and the process itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxySettings {
    /// Where HTTPS is served.
    pub listen_addr: Option<SocketAddr>,
    /// Where plain HTTP is served.
    pub listen_addr_http: Option<SocketAddr>,
    /// Where the REST API is served.
    pub management_api_addr: Option<SocketAddr>,
    /// Names by which the REST API may be called, besides its address and `localhost`.
    pub management_api_hosts: Vec<DomainName>,
    /// The Unix socket that `vhost ctl` talks to.
    pub admin_socket: PathBuf,
    /// The group that may use the socket, besides its owner.
    pub admin_group: Option<String>,
    /// The directory of the state and its history.
    pub state_dir: PathBuf,
    /// The directory of the error pages that commands may name.
    pub pages_dir: Option<PathBuf>,
    /// Threads that carry traffic.
    pub threads: usize,
    /// How long requests may take to end when the server stops.
    pub shutdown_timeout: Duration,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The header in which those name the client, in place of `X-Forwarded-For`.
    pub client_ip_header: Option<HeaderField>,
    /// What becomes of header fields with an underscore in their name.
    pub underscores_in_headers: UnderscoresInHeaders,
    /// Whether proxies say on the HTTPS listener for whom they connect (PROXY protocol).
    pub proxy_protocol: bool,
    /// The same for the listener of plain HTTP.
    pub proxy_protocol_http: bool,
    /// How long a client may keep a connection open between requests.
    pub idle_timeout: Duration,
    /// How long a client may take to send a whole request head.
    pub header_timeout: Duration,
    /// How long a client may pause within a request's body.
    pub read_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a client that has ended its side waits for its answer.
    pub half_close_timeout: Duration,
    /// The largest request head.
    pub max_header_bytes: usize,
    /// How long a WebSocket may be silent.
    pub websocket_idle_timeout: Duration,
    /// How long a TLS handshake may take.
    pub tls_handshake_timeout: Duration,
    /// TLS handshakes that may be under way at once.
    pub max_tls_handshakes: usize,
    /// The most header fields of a request.
    pub max_headers: usize,
    /// The longest request target, in bytes.
    pub max_uri_bytes: usize,
    /// Requests that one connection may carry.
    pub max_requests_per_connection: u32,
    /// How fast a request body must come, in bytes a second; 0 is any speed.
    pub min_body_bytes_per_sec: u32,
    /// How long a body may be slower.
    pub body_grace: Duration,
    /// Client connections in all.
    pub max_connections: usize,
    /// Connections of one client; an IPv6 client is its /64.
    pub max_connections_per_client: u32,
    /// Connections at once on which nothing was said yet.
    pub max_silent_connections: usize,
    /// Requests at once of one client.
    pub max_requests_per_client: u32,
    /// Requests that may run at once on one HTTP/2 connection.
    pub max_h2_streams: u32,
    /// Frames that only cost, on one HTTP/2 connection, in a second.
    pub max_h2_control_frames_per_sec: u32,
    /// Bytes that may be held in memory on behalf of one connection.
    pub max_buffered_bytes_per_connection: usize,
    /// The same for one client.
    pub max_buffered_bytes_per_client: usize,
    /// The same in all.
    pub max_buffered_bytes: usize,
    /// Bytes that wait on one HTTP/2 stream to be sent.
    pub max_h2_send_buffer_bytes: usize,
    /// The certificate for clients that name no host, or one that nobody has declared.
    pub default_certificate: Option<CertificateFiles>,
}

/// A certificate in files of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate with its chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl ProxySettings {
    /// Settings in which everything but the two paths has its default; nothing is listened at.
    pub fn new(admin_socket: PathBuf, state_dir: PathBuf) -> Self {
        Self {
            listen_addr: None,
            listen_addr_http: None,
            management_api_addr: None,
            management_api_hosts: Vec::new(),
            admin_socket,
            admin_group: None,
            state_dir,
            pages_dir: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            shutdown_timeout: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            client_ip_header: None,
            underscores_in_headers: UnderscoresInHeaders::Drop,
            proxy_protocol: false,
            proxy_protocol_http: false,
            idle_timeout: Duration::from_mins(1),
            header_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_mins(1),
            half_close_timeout: Duration::from_secs(10),
            max_header_bytes: 64 * 1024,
            websocket_idle_timeout: Duration::from_hours(1),
            tls_handshake_timeout: Duration::from_secs(10),
            max_tls_handshakes: 4096,
            max_headers: 100,
            max_uri_bytes: 8192,
            max_requests_per_connection: 10_000,
            min_body_bytes_per_sec: 100,
            body_grace: Duration::from_secs(10),
            max_connections: 100_000,
            max_connections_per_client: 4096,
            max_silent_connections: 8192,
            max_requests_per_client: 4096,
            max_h2_streams: 100,
            max_h2_control_frames_per_sec: 1000,
            max_buffered_bytes_per_connection: 2 * 1024 * 1024,
            max_buffered_bytes_per_client: 64 * 1024 * 1024,
            max_buffered_bytes: 1024 * 1024 * 1024,
            max_h2_send_buffer_bytes: 128 * 1024,
            default_certificate: None,
        }
    }
}

/// `[upstream]`: the backends' side.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamSettings {
    /// How long a connection, with its TLS handshake, may take to come about.
    pub connect_timeout: Duration,
    /// How long a backend may send nothing.
    pub read_timeout: Duration,
    /// How long a backend may take nothing.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many backends a request is tried on, at most.
    pub max_tries: usize,
    /// How often names of backends are resolved again.
    pub resolve_interval: Duration,
    /// Requests that may run at once on one backend; 0 is any number.
    pub max_requests_per_backend: usize,
    /// Requests of a pool that may wait for a backend with room.
    pub queue_size: usize,
    /// How long each waits at most.
    pub queue_timeout: Duration,
    /// The share of running requests that may be second tries.
    pub retry_budget_percent: u8,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_mins(1),
            // Below the 5 s after which Node closes: a connection that the backend is just closing
            // costs a request that cannot be sent twice.
            idle_timeout: Duration::from_secs(4),
            max_tries: 3,
            resolve_interval: Duration::from_secs(5),
            max_requests_per_backend: 0,
            queue_size: 1000,
            queue_timeout: Duration::from_secs(5),
            retry_budget_percent: 20,
        }
    }
}

/// `[switch]`: the gate and the drain of switches.
#[derive(Debug, Clone, PartialEq)]
pub struct SwitchSettings {
    /// How long the new tag has to prove itself healthy.
    pub gate_timeout: Duration,
    /// How long requests on the old tag have to end.
    pub drain_timeout: Duration,
    /// The share of the new tag's ready backends that must be proven healthy, 1 to 100.
    pub min_healthy_percent: u8,
}

impl Default for SwitchSettings {
    fn default() -> Self {
        Self {
            gate_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            min_healthy_percent: 100,
        }
    }
}

/// `[health_check]`: how health is found.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheckSettings {
    /// The active check.
    pub check: HealthCheck,
    /// Whether 5xx answers to real traffic count as passive failures.
    pub count_5xx: bool,
    /// How long the share of a backend that has become healthy grows; zero is not at all.
    pub slow_start: Duration,
    /// The share of a pool's ready backends that passive failures may put out at once, 0 to 100.
    pub max_ejected_percent: u8,
}

impl Default for HealthCheckSettings {
    fn default() -> Self {
        Self {
            check: HealthCheck::default(),
            count_5xx: false,
            slow_start: Duration::ZERO,
            max_ejected_percent: 50,
        }
    }
}

/// `[lets_encrypt]`: certificates from an ACME CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetsEncryptSettings {
    /// The CA, and those that are tried when it fails, in order. Never empty.
    pub issuers: Vec<IssuerSettings>,
    /// The program that sets and clears DNS records: `present NAME VALUE` and `cleanup NAME VALUE`.
    pub dns_hook: Option<PathBuf>,
    /// Certificates for names that nobody has declared, where wanted.
    pub on_demand: Option<OnDemandSettings>,
}

/// One ACME CA, and how it is dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its directory (RFC 8555 §7.1.1).
    pub directory_url: String,
    /// As the file has that, where it refers to the environment: it is what people are shown.
    pub written_url: Option<String>,
    /// Whom it may write to.
    pub email: String,
    /// As the file has that, where it refers to the environment.
    pub written_email: Option<String>,
    /// The roots that its own HTTPS is trusted by, PEM; the system's when not given.
    pub ca_root: Option<PathBuf>,
    /// The profile that is asked for.
    pub profile: Option<String>,
    /// The kind of key that certificates have.
    pub key_type: KeyType,
    /// The binding to an account that exists outside of ACME (RFC 8555 §7.3.4).
    pub eab: Option<EabSettings>,
    /// The challenges that may be used, in the order in which they are tried.
    pub challenges: Vec<ChallengeKind>,
}

impl IssuerSettings {
    /// Its directory as people are shown it.
    pub fn shown_url(&self) -> &str {
        self.written_url.as_ref().unwrap_or(&self.directory_url)
    }
}

/// A binding to an account that exists outside of ACME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EabSettings {
    /// The key's id.
    pub kid: String,
    /// A file with the key, in base64url.
    pub hmac_key_file: PathBuf,
}

/// `on_demand_ask` and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDemandSettings {
    /// The URL that is asked with `?domain=NAME`, and allows a name by the status 200.
    pub ask: String,
    /// Names that one client may have asked about in a minute.
    pub per_client: u32,
    /// Names that are new and may be ordered for in a minute.
    pub per_minute: u32,
    /// Names that may have a certificate this way, in all.
    pub most: usize,
}

/// `[metrics]`: the metrics endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Where it is served.
    pub listen_addr: SocketAddr,
    /// How many domains have series of their own.
    pub per_domain_limit: usize,
    /// Whether there is a page for people, too.
    pub status_page: bool,
    /// The names by which they may be called, besides their address and `localhost`.
    pub hosts: Vec<DomainName>,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            listen_addr: SocketAddr::from(([0, 0, 0, 0], 9090)),
            per_domain_limit: 1000,
            status_page: false,
            hosts: Vec::new(),
        }
    }
}
