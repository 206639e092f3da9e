//! A start: config → rooms → runtimes and listeners. What may fail is opened before the state is touched.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::listen::{self, Listener, Listeners};
use super::predecessor::Predecessor;
use super::process::{prepare_process, runtime};
use super::replaced::ReplacedProcesses;
use super::saved::{apply_file, open_given_store, open_store, publish};
use super::settle::{
    and_notify, and_try_files_again, and_upgrade_so, control_options, proxy_options, settle,
    upgrade_times,
};
use super::sockets::Sockets;
use super::upgrade::{Upgradable, UpgradeTimes, Upgrades, upgrade_by};
use super::watch::{and_of_targets, journal_to, keep_pages, observe, resolved, services};
use super::{
    Configuration, Logs, ServerError, activation, carried, expose, https, management, prove, smoke,
};
use crate::clock::now_ms;
use crate::config::{Config, Source};
use crate::control::ControlPlane;
use crate::counters::Metrics;
use crate::exposition::Exposed;
use crate::health::Checker;
use crate::notify::Notifier;
use crate::proxy::explain::Explainer;
use crate::proxy::{self, HostServices};
use crate::rest::{self, Api, Door};
use crate::rollout::Trials;
use crate::rpc::{self, AdminSocket, Asked, Dispatch, ServerFacts};
use crate::state::Reader;
use crate::telemetry::LogHandle;
use crate::tokens::Tokens;

/// A server that serves. Dropping it ends everything at once; [`Server::stop`] lets requests finish.
pub(crate) struct Server {
    pub(super) listeners: Listeners,
    pub(super) sockets: Arc<Sockets>,
    /// Turns to true when nothing but traffic is to be accepted any more.
    pub(super) closing: watch::Sender<bool>,
    /// What only one process may do at a time.
    pub(super) keeping: [AbortHandle; 4],
    pub(super) upgrades: Upgrades,
    pub(super) upgrade_times: Arc<ArcSwap<UpgradeTimes>>,
    pub(super) admin_socket: PathBuf,
    /// How long requests may take to end, as the config says now.
    pub(super) shutdown_timeout: Arc<ArcSwap<Duration>>,
    pub(super) configuration: Configuration,
    pub(super) metrics: Arc<Metrics>,
    pub(super) logs: Logs,
    pub(super) reader: Reader,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) _checker: Checker,
    pub(super) socket: AdminSocket,
    /// Everything but traffic: the socket, probes, the store.
    pub(super) control: Option<Runtime>,
    /// Traffic alone.
    pub(super) traffic: Option<Runtime>,
}

impl Server {
    /// Starts everything that `config` says. When this returns, the server takes traffic. `source` is
    /// where the config came from, and comes from at a reload; `log` is the process's own, whose level a reload changes.
    /// `predecessor` is the server that this one takes over from: until this is ready to serve, that one does.
    ///
    /// # Errors
    /// When something that it needs can't be had; then nothing was changed and nothing listens.
    #[expect(clippy::too_many_lines, reason = "the order of a start, in one place")]
    pub(crate) fn start(
        mut config: Config,
        source: Source,
        log: Option<LogHandle>,
        mut predecessor: Option<&mut Predecessor>,
    ) -> Result<Self, ServerError> {
        prepare_process()?;
        let logs = Logs::open(&config, log)?;
        let takes_over = predecessor.is_some();
        let inherited = predecessor.as_mut().map(|predecessor| predecessor.take_sockets());
        let inherited = inherited.map_or_else(activation::sockets, Ok);
        let sockets = Arc::new(Sockets::inheriting(inherited.map_err(ServerError::Activation)?));
        // Who starts a second server by mistake is to be refused for the state, whatever else is in use.
        let store = if takes_over { None } else { Some(open_store(&config)?) };
        let mut socket = open_socket(&config, &source, &sockets)?;
        let control = runtime("vhost-control", 1)?;
        let traffic = runtime("vhost-proxy", config.proxy.threads)?;
        let opened = Opened::open(&config, &socket, &sockets, &control, &traffic)?;
        let (listeners, hosts) = (opened.listeners, opened.hosts);
        let (closing, closed) = watch::channel(false);
        let metrics = Arc::new(Metrics::new(logs.dropped()));
        let door = Door::new(Arc::clone(&metrics.managers));
        let mut management = Some(opened.management);
        if !takes_over && let Some(bound) = management.take() {
            management::serve(bound, &door, &control, &closed);
        }
        let carried = predecessor
            .as_mut()
            .map(|predecessor| predecessor.ask_for_state(&config.proxy.state_dir));
        let carried = carried.transpose()?.unwrap_or_default();
        let (store, saved) = if let Some(store) = store {
            store
        } else {
            let goes_on = predecessor.as_ref().is_some_and(|predecessor| predecessor.is_there());
            open_given_store(&config, goes_on)?
        };

        // All that may fail is open; the file is applied to the state last.
        let mut files = std::mem::take(&mut config.peer_files);
        let (publisher, reader) = publish(&saved, &mut files);
        let tickets = opened.https.tickets().clone();
        carried::resume(&carried, &reader.load(), &tickets);
        let (checker, stats) = observe(&control, &config, &reader, &carried);
        drop(carried);
        let replaced = ReplacedProcesses::default();
        let options = Arc::new(ArcSwap::from_pointee(proxy_options(&config, logs.access_log())));
        let smoke = {
            let (options, traffic) = (Arc::clone(&options), traffic.handle().clone());
            smoke::smoke(options, hosts.clone(), traffic, !listeners.https.is_empty())
        };
        let plane = ControlPlane::new(
            store,
            publisher,
            reader.clone(),
            control_options(&config, config.reserved_paths()),
            services(&checker, &stats, smoke),
            Arc::clone(&metrics),
            replaced.elsewhere().clone(),
        );
        let declared = std::mem::take(&mut config.declared);
        control.block_on(apply_file(&plane, &saved, declared, files, &source))?;
        drop(saved);
        control.block_on(resolved(&reader));

        let (stopping, stopped) = watch::channel(false);
        let https = https::open(opened.https, &config, &listeners, &reader, journal_to(&plane));
        let shutdown_timeout = Arc::new(ArcSwap::from_pointee(config.proxy.shutdown_timeout_secs));
        let upgrade_times = Arc::new(ArcSwap::from_pointee(upgrade_times(&config)));
        let warnings = keep_pages(&config, &hosts, &reader, &control, &sockets);
        // One for all listeners: they share the connections to backends.
        let plain_port = listeners.http.first().map(|listener| listener.address().port());
        let explainer = Explainer::new(Arc::clone(&options), https.served.clone(), hosts.clone())
            .with_plain_port(plain_port);
        let pages = hosts.pages.clone();
        if takes_over {
            let https = https.served.as_ref();
            prove::prove(&config, https, hosts.clone(), &traffic, &control)?;
        }
        let front = proxy::front(
            Arc::clone(&options),
            reader.clone(),
            Arc::clone(&metrics),
            https.served.clone(),
            hosts,
        );
        let upgrades = Upgrades::new(Upgradable {
            state_dir: config.proxy.state_dir.clone(),
            plane: plane.clone(),
            sockets: Arc::clone(&sockets),
            times: Arc::clone(&upgrade_times),
            metrics: Arc::clone(&metrics),
            replaced: replaced.clone(),
            control: control.handle().clone(),
            stats: stats.clone(),
            tickets,
            program: predecessor.as_ref().and_then(|predecessor| predecessor.program()),
        });
        let trials = Trials::new(plane.clone(), reader.clone(), Arc::clone(&metrics));
        let notify = std::mem::take(&mut config.notify);
        let notifier = Notifier::new(notify, &config.proxy.state_dir, Arc::clone(&metrics));
        let facts = ServerFacts {
            started_ms: now_ms(),
            listeners: listeners.all().map(Listener::to_string).collect(),
            warnings: and_of_targets(warnings, &notifier),
            metrics: Arc::clone(&metrics),
            explainer,
            stats,
            trials: trials.clone(),
            notifier: notifier.clone(),
            stopping: stopped.clone(),
            log_level: logs.level(),
            upgrade: upgrade_by(&upgrades),
            elsewhere: replaced.elsewhere().clone(),
            new_program: {
                let upgrades = upgrades.clone();
                Asked::new(move || upgrades.has_new_program())
            },
        };
        control.spawn(logs.clone().log_suppressed());
        control.spawn(crate::proxy::sweep(reader.clone()));
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
        let settle = and_upgrade_so(settle, &upgrade_times);
        let settle = and_notify(settle, &notifier);
        let configuration = Configuration::new(plane.clone(), source, config.effective, settle);
        let tokens = opened.tokens;
        let dispatch = Dispatch::new(
            plane.clone(),
            configuration.clone(),
            https.certificates,
            tokens.clone(),
            facts,
        );
        door.open(Api {
            dispatch: dispatch.clone(),
            tokens: tokens.clone(),
            exposition: exposition.clone(),
            hosts: std::mem::take(&mut config.proxy.management_api_hosts),
            state: reader.clone(),
            started: door.started(),
            stopping: stopped.clone(),
        });
        if let Some(predecessor) = &mut predecessor {
            predecessor.ask_to_serve()?;
        }
        serve(&traffic, &listeners, &front, https.served.as_ref(), &reader, &stopped, &metrics);
        // From here on this is the one writer, of certificates too.
        let keeping = [
            control.spawn(https.opened.keep()).abort_handle(),
            control.spawn(plane.clone().keep_standbys()).abort_handle(),
            control.spawn(trials.keep()).abort_handle(),
            control
                .spawn(notifier.keep(plane.clone(), checker.changes(), reader.clone()))
                .abort_handle(),
        ];
        if let Some(bound) = management.take() {
            management::serve(bound, &door, &control, &closed);
        }
        opened.metrics.serve(&control, &exposition, &dispatch, &tokens, &closed);
        {
            let _context = control.enter();
            rpc::serve(opened.admin, &socket, dispatch, management::http_by(door), closed);
        }
        if let Some(predecessor) = &mut predecessor {
            let before = predecessor.is_replaced(sockets.has_inherited_admin());
            replaced.watch(before, &plane, control.handle());
        }
        socket.own();
        sockets.close_unused();
        Ok(Self {
            listeners,
            sockets,
            closing,
            keeping,
            upgrades,
            upgrade_times,
            admin_socket: config.proxy.admin_socket,
            shutdown_timeout,
            configuration,
            metrics,
            logs,
            reader,
            stopping,
            _checker: checker,
            socket,
            control: Some(control),
            traffic: Some(traffic),
        })
    }

    /// The addresses at which plain HTTP is served, ports as the kernel chose them.
    pub(crate) fn http_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.http.iter().map(Listener::address)
    }

    /// The addresses at which HTTPS is served, ports as the kernel chose them.
    pub(crate) fn https_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.https.iter().map(Listener::address)
    }

    /// Where the admin socket is.
    pub(crate) fn admin_socket(&self) -> &Path {
        &self.admin_socket
    }

    /// The config, to be read again.
    pub(crate) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The logs.
    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// What upgrades it.
    pub(crate) fn upgrades(&self) -> &Upgrades {
        &self.upgrades
    }

    /// The published state.
    pub(crate) fn state(&self) -> &Reader {
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
    management: Vec<rest::Listener>,
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
        sockets: &Sockets,
        control: &Runtime,
        traffic: &Runtime,
    ) -> Result<Self, ServerError> {
        let listeners = {
            let _context = traffic.enter();
            listen::bind(config, sockets)?
        };
        let management = management::bind(config, control, sockets)?;
        let metrics = expose::bind(config, control, sockets)?;
        let admin = {
            let _context = control.enter();
            socket.listener().map_err(ServerError::Serve)?
        };
        Ok(Self {
            listeners,
            management,
            metrics,
            admin,
            tokens: management::open_tokens(config)?,
            hosts: HostServices::open(&config.proxy.state_dir)
                .map_err(ServerError::HostServices)?,
            https: https::prepare(config)?,
        })
    }
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
    } else if reader.load().domains().any(|node| node.virtual_host.top.http_to_https) {
        tracing::info!("`http_to_https` does nothing: there is no `proxy.listen_addr` for HTTPS");
    }
}

fn open_socket(
    config: &Config,
    source: &Source,
    sockets: &Sockets,
) -> Result<AdminSocket, ServerError> {
    let (path, group) = (&config.proxy.admin_socket, config.proxy.admin_group.as_deref());
    let there = AdminSocket::has_file(path);
    let inherited = there.then(|| sockets.inherited_admin(path)).flatten();
    let socket = match inherited {
        Some(listener) => AdminSocket::inherited(path, listener, group)?,
        None => AdminSocket::bind(path, group)?,
    };
    sockets.hold_admin(path, socket.descriptor().map_err(ServerError::Serve)?);
    // The tour is its own client.
    let is_client = matches!(source, Source::Made(..));
    Ok(if is_client { socket } else { socket.refusing_itself() })
}
