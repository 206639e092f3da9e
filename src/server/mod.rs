//! The composition root: config → rooms → runtimes and listeners → run → drain. No policy.

mod error;
mod expose;
mod https;
mod listen;
mod logs;
mod management;
mod preflight;
mod secrets;
mod stop;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use error::ServerError;
pub(crate) use listen::Listener;
use listen::Listeners;
pub use logs::Logs;
pub use preflight::{Missing, preflight};
pub use stop::Stopped;

pub use crate::control::{Configuration, ReloadOptions};

use crate::certs::{Certificates, Journal};
use crate::clock::now_ms;
use crate::config::{Config, Declared, Source};
use crate::control::{ControlOptions, ControlPlane, ProbeNow, Probed, Reach, Settle};
use crate::exposition::Exposed;
use crate::health::{self, Checker, HealthSettings};
use crate::metrics::Metrics;
use crate::model::{BackendAddr, BackendState, Change, TrustedProxy};
use crate::proxy::explain::Explainer;
use crate::proxy::{
    self, ConnectionLimits, HandshakeLimits, HostServices, MemoryLimits, PageKeeper, PageRules,
    Pages, ProxyOptions, RequestLimits, UpstreamOptions,
};
use crate::reserved_paths::ReservedPaths;
use crate::rest::{Api, Door};
use crate::rpc::{self, AdminSocket, Dispatch, ServerFacts, Warnings};
use crate::state::{BackendNode, Publisher, Reader, Snapshot, publication};
use crate::stats::Stats;
use crate::store::{Saved, Store};
use crate::telemetry::{AccessLog, LogHandle};
use crate::tokens::Tokens;

/// How long a start waits for names of backends to resolve, before it takes traffic without them.
const FIRST_LOOKUPS: Duration = Duration::from_secs(2);

/// A server that serves. Dropping it ends everything at once; [`Server::stop`] lets requests finish.
pub struct Server {
    listeners: Listeners,
    management_address: Option<SocketAddr>,
    admin_socket: PathBuf,
    /// How long requests may take to end, as the config says now.
    shutdown_timeout: Arc<ArcSwap<Duration>>,
    configuration: Configuration,
    metrics: Arc<Metrics>,
    logs: Logs,
    reader: Reader,
    stopping: watch::Sender<bool>,
    _checker: Checker,
    _socket: AdminSocket,
    /// Everything but traffic: the socket, probes, the store.
    control: Option<Runtime>,
    /// Traffic alone.
    traffic: Option<Runtime>,
}

impl Server {
    /// Starts everything that `config` says. When this returns, the server takes traffic. `source` is
    /// where the config came from, and comes from at a reload; `log` is the process's own, whose level a reload changes.
    ///
    /// # Errors
    /// When something that it needs can't be had; then nothing was changed and nothing listens.
    pub fn start(
        mut config: Config,
        source: Source,
        log: Option<LogHandle>,
    ) -> Result<Self, ServerError> {
        prepare_process()?;
        let logs = Logs::open(&config, log)?;
        let (store, saved) = open_store(&config)?;
        let socket = open_socket(&config, &source)?;
        let control = runtime("vhost-control", 1)?;
        let traffic = runtime("vhost-proxy", config.proxy.threads)?;
        let opened = Opened::open(&config, &socket, &control, &traffic)?;
        let (listeners, door, hosts) = (opened.listeners, opened.door, opened.hosts);

        // All that may fail is open; the file is applied to the state last.
        let (publisher, reader) = publish(&saved);
        let metrics = Arc::new(Metrics::new(logs.dropped()));
        let (checker, stats) = observe(&control, &config, &reader);
        let plane = ControlPlane::new(
            store,
            publisher,
            reader.clone(),
            control_options(&config, config.reserved_paths()),
            prove_with(&checker),
            Arc::clone(&metrics),
        );
        let declared = std::mem::take(&mut config.declared);
        control.block_on(apply_file(&plane, &saved, declared, &source))?;
        drop(saved);
        control.block_on(resolved(&reader));

        let (stopping, stopped) = watch::channel(false);
        let options = Arc::new(ArcSwap::from_pointee(proxy_options(&config, logs.access_log())));
        let https = https::open(opened.https, &config, &listeners, &reader, journal_to(&plane));
        let shutdown_timeout = Arc::new(ArcSwap::from_pointee(config.proxy.shutdown_timeout));
        let warnings = keep_pages(&config, &hosts, &reader, &control);
        // One for all listeners: they share the connections to backends.
        let explainer = Explainer::new(Arc::clone(&options), https.served.clone());
        let pages = hosts.pages.clone();
        let front = proxy::front(
            Arc::clone(&options),
            reader.clone(),
            Arc::clone(&metrics),
            https.served.clone(),
            hosts,
        );
        let facts = ServerFacts {
            started_ms: now_ms(),
            listeners: listeners.all().map(Listener::to_string).collect(),
            warnings,
            metrics: Arc::clone(&metrics),
            explainer,
            stats,
            stopping: stopped.clone(),
            log_level: logs.level(),
        };
        serve(&traffic, &listeners, &front, https.served.as_ref(), &reader, &stopped, &metrics);
        control.spawn(https.opened.keep());
        control.spawn(logs.clone().sum_up());
        let exposition = expose::exposition(
            &config,
            Exposed {
                reader: reader.clone(),
                metrics: Arc::clone(&metrics),
                certificates: https.certificates.clone(),
                listeners: listeners.open(),
            },
        );
        let reserved_paths = config.reserved_paths();
        let settle =
            settle(options, &plane, &checker, &logs, &shutdown_timeout, pages, reserved_paths);
        let settle = and_try_files_again(settle, https.certificates.clone());
        let configuration = Configuration::new(plane.clone(), source, config.effective, settle);
        let tokens = opened.tokens;
        let dispatch =
            Dispatch::new(plane, configuration.clone(), https.certificates, tokens.clone(), facts);
        door.open(Api {
            dispatch: dispatch.clone(),
            tokens,
            exposition: exposition.clone(),
            hosts: std::mem::take(&mut config.proxy.management_api_hosts),
            state: reader.clone(),
            started: door.started(),
            stopping: stopped.clone(),
        });
        opened.metrics.serve(&control, exposition, &dispatch);
        {
            let _context = control.enter();
            rpc::serve(opened.admin, &socket, dispatch, management::http_by(door));
        }
        Ok(Self {
            listeners,
            management_address: opened.management_address,
            admin_socket: config.proxy.admin_socket,
            shutdown_timeout,
            configuration,
            metrics,
            logs,
            reader,
            stopping,
            _checker: checker,
            _socket: socket,
            control: Some(control),
            traffic: Some(traffic),
        })
    }

    /// The addresses at which plain HTTP is served, ports as the kernel chose them.
    pub fn http_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.http.iter().map(Listener::address)
    }

    /// The addresses at which HTTPS is served, ports as the kernel chose them.
    pub fn https_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.https.iter().map(Listener::address)
    }

    /// Where the REST API is served, the port as the kernel chose it.
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.management_address
    }

    /// Where the admin socket is.
    pub fn admin_socket(&self) -> &Path {
        &self.admin_socket
    }

    /// The config, to be read again.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The logs.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The published state.
    pub fn state(&self) -> &Reader {
        &self.reader
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its blocking work; whoever stops has waited already.
        for runtime in [self.traffic.take(), self.control.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
        self.logs.close();
    }
}

/// What a start opens besides the state, before it changes that.
struct Opened {
    listeners: Listeners,
    door: Door,
    management_address: Option<SocketAddr>,
    metrics: expose::Bound,
    admin: tokio::net::UnixListener,
    tokens: Tokens,
    hosts: HostServices,
    https: https::Prepared,
}

impl Opened {
    fn open(
        config: &Config,
        socket: &AdminSocket,
        control: &Runtime,
        traffic: &Runtime,
    ) -> Result<Self, ServerError> {
        let listeners = {
            let _context = traffic.enter();
            listen::bind(&config.proxy)?
        };
        let (door, management_address) = management::open_door(config, control)?;
        let metrics = expose::bind(config.metrics.clone(), control)?;
        let admin = {
            let _context = control.enter();
            socket.listener().map_err(ServerError::Serve)?
        };
        Ok(Self {
            listeners,
            door,
            management_address,
            metrics,
            admin,
            tokens: management::open_tokens(config)?,
            hosts: HostServices::open(&config.proxy.state_dir)
                .map_err(ServerError::HostServices)?,
            https: https::prepare(config)?,
        })
    }
}

/// What must be true of the process before anything else.
fn prepare_process() -> Result<(), ServerError> {
    // Fails when one was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    check_roots()?;
    raise_file_limit();
    Ok(())
}

/// Pingora's connectors panic without root certificates; here it can still be said why.
fn check_roots() -> Result<(), ServerError> {
    let mut roots = rustls::RootCertStore::empty();
    let loaded = pingora::tls::load_platform_certs_incl_env_into_store(&mut roots);
    if loaded.is_err() || roots.is_empty() {
        return Err(ServerError::NoRootCertificates);
    }
    Ok(())
}

/// Each connection costs two descriptors; the soft limit of most systems is far below the hard one.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, ServerError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)
}

/// Serves what is bound.
fn serve(
    traffic: &Runtime,
    listeners: &Listeners,
    front: &proxy::Front,
    https: Option<&Arc<proxy::Https>>,
    reader: &Reader,
    stopped: &watch::Receiver<bool>,
    metrics: &Arc<Metrics>,
) {
    for listener in &listeners.http {
        traffic.spawn(listener.serve(front.counting(listener.open()), stopped.clone()));
        tracing::info!(listen_addr = %listener, "serving HTTP");
    }
    if let Some(https) = https {
        let front =
            proxy::tls_front(front.clone(), Arc::clone(https), reader.clone(), Arc::clone(metrics));
        for listener in &listeners.https {
            traffic.spawn(listener.serve(front.counting(listener.open()), stopped.clone()));
            tracing::info!(listen_addr = %listener, "serving HTTPS");
        }
    } else if reader.load().domains().any(|node| node.virtual_host.http_to_https) {
        tracing::info!("`http_to_https` does nothing: there is no `proxy.listen_addr` for HTTPS");
    }
}

fn open_socket(config: &Config, source: &Source) -> Result<AdminSocket, ServerError> {
    let (path, group) = (&config.proxy.admin_socket, config.proxy.admin_group.as_deref());
    let socket = AdminSocket::bind(path, group)?;
    // The tour is its own client.
    let is_client = matches!(source, Source::Made(..));
    Ok(if is_client { socket } else { socket.refusing_itself() })
}

fn open_store(config: &Config) -> Result<(Store, Saved), ServerError> {
    let mut store = Store::open(&config.proxy.state_dir)?;
    let interrupted = store.mark_interrupted()?;
    if interrupted > 0 {
        tracing::warn!(interrupted, "the last stop cut short the drain of switches");
    }
    let mut saved = store.load()?;
    secrets::resolve(&mut saved);
    secrets::forget(&mut store, &saved, &config.declared)?;
    Ok((store, saved))
}

fn publish(saved: &Saved) -> (Publisher, Reader) {
    let domains = saved.domains.iter().cloned().map(Change::PutDomain);
    let backends = saved.backends.iter().cloned().map(Change::PutBackend);
    publication(Snapshot::default().after(domains.chain(backends).collect(), saved.revision))
}

/// Keeps error pages as their files are. Gives what is wrong with them, and with files of backends.
fn keep_pages(
    config: &Config,
    hosts: &HostServices,
    reader: &Reader,
    control: &Runtime,
) -> Warnings {
    log_doubts(config);
    let (pages, reader) = (hosts.pages.clone(), reader.clone());
    pages.set_rules(page_rules(config, config.reserved_paths()));
    control.spawn(PageKeeper::open(pages.clone(), reader.clone()).keep());
    let warnings = move || [pages.warnings(), without_handshake(&reader.load())].concat();
    Warnings::new(warnings)
}

/// The backends that there can be no handshake with, and why.
fn without_handshake(state: &Snapshot) -> Vec<String> {
    let why = |node: &Arc<BackendNode>| {
        let error = node.tls().err()?;
        Some(format!("backend `{}`: {error}; {}, then reload", node.backend.id, error.hint()))
    };
    state.backends().filter_map(why).collect()
}

/// Says what is dangerous in a config or will be missed, and which files can't be used.
fn log_doubts(config: &Config) {
    for warning in &config.warnings {
        let (file, line) = (warning.file.display(), warning.line);
        tracing::warn!(%file, line, %warning, "the config has a doubtful value");
    }
    for problem in &config.bad_files {
        let (file, line) = (problem.file.display(), problem.line);
        tracing::warn!(%file, line, %problem, "a file of certificates or keys cannot be used");
    }
}

/// Puts what a config says into effect, as far as that is possible without a restart.
fn settle(
    options: Arc<ArcSwap<ProxyOptions>>,
    plane: &ControlPlane,
    checker: &Checker,
    logs: &Logs,
    shutdown_timeout: &Arc<ArcSwap<Duration>>,
    pages: Pages,
    reserved_paths: ReservedPaths,
) -> Settle {
    let (plane, checker, logs) = (plane.clone(), checker.clone(), logs.clone());
    let shutdown_timeout = Arc::clone(shutdown_timeout);
    Box::new(move |config| {
        options.store(Arc::new(proxy_options(config, logs.access_log())));
        // They are where they were at the start, whatever the file says now.
        let reserved_paths = reserved_paths.clone();
        plane.set_options(control_options(config, reserved_paths.clone()));
        checker.set(health_settings(config));
        shutdown_timeout.store(Arc::new(config.proxy.shutdown_timeout));
        pages.set_rules(page_rules(config, reserved_paths));
        logs.set(config);
        log_doubts(config);
    })
}

/// Has what failed for a file of this machine tried again as well.
fn and_try_files_again(settle: Settle, certificates: Certificates) -> Settle {
    Box::new(move |config| {
        settle(config);
        certificates.reloaded();
    })
}

/// Where certificates tell what happens to them.
fn journal_to(plane: &ControlPlane) -> Journal {
    let plane = plane.clone();
    Arc::new(move |actor, domain, news| {
        let plane = plane.clone();
        Box::pin(async move { plane.note_certificate(actor, domain, news).await })
    })
}

fn prove_with(checker: &Checker) -> ProbeNow {
    let checker = checker.clone();
    Arc::new(move |node| {
        let checker = checker.clone();
        Box::pin(async move {
            let verdict = checker.probe_now(&node).await;
            Probed { succeeded: verdict.passed, report: verdict.report }
        })
    })
}

async fn apply_file(
    plane: &ControlPlane,
    saved: &Saved,
    declared: Declared,
    source: &Source,
) -> Result<(), ServerError> {
    let applied: Option<Declared> = saved
        .applied_file
        .as_deref()
        .map(Declared::from_json)
        .transpose()
        .map_err(|source| crate::store::StoreError::Row { what: "the applied file", source })?;
    plane.apply_file(source.to_string(), applied, declared, secrets::check).await?;
    Ok(())
}

/// Waits until every ready backend with a name has an address, or it has been long enough.
async fn resolved(reader: &Reader) {
    let deadline = tokio::time::Instant::now() + FIRST_LOOKUPS;
    let unresolved = || {
        reader.load().backends().any(|node| {
            matches!(node.backend.address, BackendAddr::Name { .. })
                && node.backend.state == BackendState::Ready
                && node.live.endpoints().is_empty()
        })
    };
    while unresolved() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Begins to probe backends and to remember traffic.
fn observe(control: &Runtime, config: &Config, reader: &Reader) -> (Checker, Stats) {
    let _context = control.enter();
    let checker = health::spawn(health_settings(config), reader.clone());
    (checker, Stats::spawn(reader.clone()))
}

fn health_settings(config: &Config) -> HealthSettings {
    HealthSettings {
        check: config.health_check.check.clone(),
        resolve_interval: config.upstream.resolve_interval,
        max_ejected_percent: config.health_check.max_ejected_percent,
    }
}

fn control_options(config: &Config, reserved_paths: ReservedPaths) -> ControlOptions {
    ControlOptions {
        gate_timeout: config.switch.gate_timeout,
        drain_timeout: config.switch.drain_timeout,
        min_healthy_percent: config.switch.min_healthy_percent,
        reach: Reach { pages_dir: config.proxy.pages_dir.clone(), reserved_paths },
    }
}

fn page_rules(config: &Config, reserved_paths: ReservedPaths) -> PageRules {
    PageRules {
        directory: config.proxy.pages_dir.clone(),
        named: config.named_pages.clone(),
        reserved_paths,
    }
}

fn proxy_options(config: &Config, access_log: AccessLog) -> ProxyOptions {
    let proxy = &config.proxy;
    let upstream = &config.upstream;
    ProxyOptions {
        threads: proxy.threads,
        idle_timeout: proxy.idle_timeout,
        header_timeout: proxy.header_timeout,
        read_timeout: proxy.read_timeout,
        write_timeout: proxy.write_timeout,
        half_close_timeout: proxy.half_close_timeout,
        websocket_idle_timeout: proxy.websocket_idle_timeout,
        max_header_bytes: proxy.max_header_bytes,
        handshakes: HandshakeLimits {
            total: proxy.tls_handshake_timeout,
            at_once: proxy.max_tls_handshakes,
        },
        trusted_proxies: proxy.trusted_proxies.iter().flat_map(TrustedProxy::networks).collect(),
        client_ip_header: proxy.client_ip_header.as_ref().map(|field| field.name().clone()),
        underscores_in_headers: proxy.underscores_in_headers,
        proxy_protocol: proxy.proxy_protocol,
        proxy_protocol_http: proxy.proxy_protocol_http,
        limits: RequestLimits {
            headers: proxy.max_headers,
            uri_bytes: proxy.max_uri_bytes,
            body_bytes_per_sec: proxy.min_body_bytes_per_sec,
            body_grace: proxy.body_grace,
        },
        connections: ConnectionLimits {
            in_all: proxy.max_connections,
            per_client: proxy.max_connections_per_client,
            silent: proxy.max_silent_connections,
            client_requests: proxy.max_requests_per_client,
            requests: proxy.max_requests_per_connection,
            h2_streams: proxy.max_h2_streams,
            h2_control_frames_per_sec: proxy.max_h2_control_frames_per_sec,
        },
        memory: MemoryLimits {
            per_connection: proxy.max_buffered_bytes_per_connection,
            per_client: proxy.max_buffered_bytes_per_client,
            in_all: proxy.max_buffered_bytes,
            h2_send_buffer: proxy.max_h2_send_buffer_bytes,
        },
        access_log,
        upstream: UpstreamOptions {
            connect_timeout: upstream.connect_timeout,
            read_timeout: upstream.read_timeout,
            write_timeout: upstream.write_timeout,
            idle_timeout: upstream.idle_timeout,
            max_tries: upstream.max_tries,
            count_5xx: config.health_check.count_5xx,
            max_requests: NonZeroUsize::new(upstream.max_requests_per_backend),
            queue_size: upstream.queue_size,
            queue_timeout: upstream.queue_timeout,
            retry_budget_percent: upstream.retry_budget_percent,
            slow_start: config.health_check.slow_start,
        },
    }
}
