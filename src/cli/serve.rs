//! `vhost serve`: config → server → signals → stop.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::{ArgGroup, ValueHint};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit_code::ExitCode;
use super::problem::complaint;
use super::words::say;
use crate::config::{
    Arguments, BackendArgument, Config, ConfigError, Route, Source, listen_address,
};
use crate::model::{Actor, LogFormat, with_causes};
use crate::server::{
    Configuration, Logs, Predecessor, ReloadOptions, Server, ServerError, Upgrades,
};
use crate::telemetry::{self, LogHandle};

/// Run the proxy.
///
/// Stays in the foreground. SIGTERM and SIGINT stop it: it accepts no more connections, and running
/// requests have `proxy.shutdown_timeout_secs` to finish. A second signal ends it at once. SIGHUP
/// reads the config again, like `vhost ctl reload`. SIGUSR1 reopens the log files, for logrotate
/// and the like.
///
/// Say what to serve in a config file or, for small setups, in arguments: `--http`, `--https`,
/// `--route` and `--backend`. Arguments work like a file: the next start applies what has changed
/// in them, and keeps switches made in the meantime. All other settings have their defaults; log
/// lines are text on a terminal, otherwise JSON.
#[derive(Debug, Clone, clap::Args)]
#[command(override_usage = "vhost serve --config <FILE>
       vhost serve --http <ADDRESS>... [--https <ADDRESS>]... [--route <DOMAIN=TAG>]... [--backend <ID=ADDRESS[,TAG...]>]...")]
#[command(group = ArgGroup::new("listen").args(["http", "https"]).multiple(true))]
#[command(after_help = "Examples:
  vhost serve --config /etc/vhost/config.toml
  vhost serve --http 127.0.0.1:8080 --route example.com=a --backend web1=localhost:3001,a
  vhost serve --https 127.0.0.1:8443 --route app.localhost=a --backend web1=localhost:3001,a
  vhost serve --http [::]:8080 --route '*=a' --backend web1=unix:/run/app.sock,a --state-dir ./state")]
pub(super) struct ServeArgs {
    /// The config file (TOML)
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(required_unless_present = "listen")]
    #[arg(conflicts_with_all = ["listen", "routes", "backends", "state_dir", "admin_socket"])]
    pub config: Option<PathBuf>,
    /// Serve plain HTTP at this address, without a config file; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub http: Vec<SocketAddr>,
    /// Serve HTTPS at this address, without a config file: with certificates of the server's own CA
    /// (`vhost ctl cert ca`) for names such as `app.localhost`, and with imported certificates; may be
    /// repeated
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub https: Vec<SocketAddr>,
    /// Serve this domain from the backends of this tag; may be repeated
    #[arg(long = "route", value_name = "DOMAIN=TAG", requires = "listen")]
    pub routes: Vec<Route>,
    /// A backend with its tags; may be repeated. The address is `host:port` or `unix:/path`
    #[arg(long = "backend", value_name = "ID=ADDRESS[,TAG…]", requires = "listen")]
    pub backends: Vec<BackendArgument>,
    /// The state directory [default: as for a config file without `state_dir`, such as
    /// /var/lib/vhost or ~/.local/state/vhost]
    #[arg(long, value_name = "DIR", requires = "listen", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// The Unix socket for `vhost ctl` [default: the path that `vhost ctl` uses]
    #[arg(long, value_name = "PATH", requires = "listen", value_hint = ValueHint::FilePath)]
    pub admin_socket: Option<PathBuf>,
}

impl ServeArgs {
    /// The source of the configuration; `None` without any, which the parser of arguments prevents.
    fn source(self, terminal: bool) -> Option<Source> {
        let Self { config, http, https, routes, backends, state_dir, admin_socket } = self;
        if let Some(file) = config {
            return Some(Source::File(file));
        }
        if http.is_empty() && https.is_empty() {
            return None;
        }
        let log_format = if terminal { LogFormat::Text } else { LogFormat::Json };
        let arguments =
            Arguments { http, https, routes, backends, state_dir, admin_socket, log_format };
        Some(Source::Arguments(arguments.with_absolute_paths()))
    }
}

/// Runs the proxy until a signal ends it. Returns the exit status.
pub(super) fn run(args: ServeArgs) -> u8 {
    let Some(source) = args.source(io::stderr().is_terminal()) else {
        return ExitCode::Usage.into();
    };
    let mut predecessor = match Predecessor::of_this_process() {
        Ok(predecessor) => predecessor,
        Err(error) => return complain(&error, None, ExitCode::Failed).into(),
    };
    let mut refuse = |error: &dyn Error, hint: Option<&str>| {
        if let Some(predecessor) = &mut predecessor {
            predecessor.refuse(with_causes(error), hint.map(str::to_owned));
        }
    };
    let config = match source.load_to_start() {
        Ok(config) => config,
        Err(error @ ConfigError::Invalid { .. }) => {
            refuse(&error, Some("`vhost check` says what is wrong with it"));
            say(&error);
            return ExitCode::Usage.into();
        }
        Err(error) => {
            refuse(&error, error.hint());
            return complain(&error, error.hint(), ExitCode::Usage).into();
        }
    };
    let logging = match telemetry::init(&config.logging) {
        Ok(logging) => logging,
        Err(error) => {
            refuse(&error, error.hint().as_deref());
            return complain(&error, error.hint().as_deref(), ExitCode::Failed).into();
        }
    };
    let log = logging.handle();
    let served = serve(config, source, log.clone(), predecessor);
    let exit = served.err().unwrap_or(ExitCode::Done);
    // Last of all, so that every line before is written.
    drop(logging);
    for (which, dropped) in [("log", &log.dropped().log), ("access log", &log.dropped().access_log)]
    {
        let dropped = dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            say(format_args!(
                "warning: {dropped} lines of the {which} were dropped: they came faster than they were \
                 written, or could not be written"
            ));
        }
    }
    exit.into()
}

/// Runs the server, or says why it can't.
fn serve(
    config: Config,
    source: Source,
    log: LogHandle,
    mut predecessor: Option<Predecessor>,
) -> Result<(), ExitCode> {
    let failed = |error: &dyn Error| complain(error, None, ExitCode::Failed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| failed(&error))?.block_on(async {
        // Caught before anything listens: a signal that comes early must not be lost.
        let mut signals = Signals::new().map_err(|error| failed(&error))?;
        let start = move || {
            let started = Server::start(config, source, Some(log), predecessor.as_mut());
            if let (Err(error), Some(predecessor)) = (&started, &mut predecessor) {
                predecessor.refuse(with_causes(error), error.hint());
            }
            started
        };
        let started = tokio::task::spawn_blocking(start).await.map_err(|panic| failed(&panic))?;
        let server = started
            .map_err(|error| complain(&error, error.hint().as_deref(), exit_code(&error)))?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            admin_socket = %server.admin_socket().display(),
            revision = server.state().load().revision(),
            "ready"
        );
        notify(&[NotifyState::Ready]);
        let (logs, upgrades) = (server.logs().clone(), server.upgrades().clone());
        let taken_over = loop {
            let action = tokio::select! {
                action = signals.next() => action,
                taken_over = upgrades.taken_over() => break Some(taken_over),
            };
            match action {
                SignalAction::Stop => break None,
                SignalAction::Reload if upgrades.has_new_program() => {
                    drop(tokio::spawn(upgrade(upgrades.clone())));
                }
                SignalAction::Reload => drop(tokio::spawn(reload(server.configuration().clone()))),
                SignalAction::Reopen => logs.reopen(),
            }
        };
        if let Some(taken_over) = taken_over {
            notify(&[NotifyState::Ready, NotifyState::MainPid(taken_over.pid)]);
            crate::telemetry::never_rotate();
            // The first signal is `soon`, the second `now`; each of the two sees both.
            let mut others = Signals::new().map_err(|error| failed(&error))?;
            let now = async {
                others.stop(&logs).await;
                others.stop(&logs).await;
            };
            server.leave(taken_over, signals.stop(&logs), now).await;
            if upgrades.has_lost_successor() {
                return Err(ExitCode::Failed);
            }
        } else {
            notify(&[NotifyState::Stopping]);
            server.stop(signals.stop(&logs)).await;
        }
        Ok(())
    })
}

/// Notifies systemd, if requested.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

fn exit_code(error: &ServerError) -> ExitCode {
    match error {
        ServerError::Apply(_) => ExitCode::Usage,
        ServerError::Listen { .. }
        | ServerError::SelfRequest { .. }
        | ServerError::Overlaps { .. }
        | ServerError::AccessLog(_)
        | ServerError::Store(_)
        | ServerError::Tokens(_)
        | ServerError::Socket(_)
        | ServerError::Serve(_)
        | ServerError::NoRootCertificates
        | ServerError::CacheDir { .. }
        | ServerError::Tls(_)
        | ServerError::HostServices(_)
        | ServerError::Activation(_)
        | ServerError::HandOver(_)
        | ServerError::Runtime(_) => ExitCode::Failed,
    }
}

/// Prints what failed, why, and what to do: for people, whatever the log's format and level.
fn complain(error: &dyn Error, hint: Option<&str>, exit: ExitCode) -> ExitCode {
    say(complaint(error, hint));
    exit
}

/// The signals that the server handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal.
    async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.hangup.recv() => SignalAction::Reload,
            _ = self.user1.recv() => SignalAction::Reopen,
        }
    }

    /// Waits for a signal to stop. The others are ignored: their default action would end the
    /// server.
    async fn stop(&mut self, logs: &Logs) {
        loop {
            match self.next().await {
                SignalAction::Stop => return,
                SignalAction::Reload => {
                    tracing::warn!("the config is not read again: the server is stopping");
                }
                SignalAction::Reopen => logs.reopen(),
            }
        }
    }
}

/// What a signal asks for.
enum SignalAction {
    Stop,
    Reload,
    Reopen,
}

/// Has the program that is on the disk now take over. How it ends is in the log.
async fn upgrade(upgrades: Upgrades) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
    if upgrades.upgrade(None, false, |_| {}).await.is_err() {
        notify(&[NotifyState::Ready]);
    }
}

/// Applies what changed in the config, and logs what `vhost ctl reload` would print. Removed
/// entries drain without a wait.
async fn reload(configuration: Configuration) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
    let options = ReloadOptions { no_drain: true, ..ReloadOptions::default() };
    match configuration.reload(Actor::File, options, |_| {}).await {
        Ok(report) => {
            for change in &report.changed {
                tracing::info!(%change, "the config changed");
            }
            let (revision, changes) = (report.revision, report.changed.len());
            tracing::info!(source = report.source, revision, changes, "config reloaded");
        }
        Err(error) => {
            for problem in error.problems() {
                tracing::error!(problem, "the config is wrong");
            }
            let hint = error.hint();
            tracing::error!(error = error.in_full(), hint, "config not reloaded: nothing changed");
        }
    }
    notify(&[NotifyState::Ready]);
}
