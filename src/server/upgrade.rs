//! The upgrade: another process takes over, proves itself, and only then is this one over.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::predecessor::VARIABLE;
use super::program::DefaultProgram;
use super::replaced::ReplacedProcesses;
use super::sockets::Sockets;
use super::{aftermath, carried};
use crate::clock::whole_millis;
use crate::control::ControlPlane;
use crate::counters::Metrics;
use crate::hand_over::{
    Channel, ChannelError, Hello, Incumbent, PROTOCOL, Prepared, Successor, UpgradeError,
};
use crate::model::{UpgradeProgress, UpgradeReport};
use crate::rpc::UpgradeServer;
use crate::state::Snapshot;
use crate::stats::Stats;
use crate::store::SCHEMA;
use crate::tls::Tickets;

/// How long the other process may take once it has the state.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// How long an upgrade may take, and how long the process before then serves what it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpgradeTimes {
    pub(super) takes_over: Duration,
    pub(super) drain: Duration,
}

/// That another process has taken over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakenOver {
    /// The other process.
    pub(crate) pid: u32,
    /// Whether the admin socket is its own now.
    pub(crate) keeps_admin_socket: bool,
}

/// Upgrades the server. Cloned handles share it.
#[derive(Clone)]
pub(crate) struct Upgrades {
    inner: Arc<Inner>,
}

/// What of a server its upgrade needs.
pub(super) struct Upgradable {
    pub(super) state_dir: PathBuf,
    pub(super) plane: ControlPlane,
    pub(super) sockets: Arc<Sockets>,
    pub(super) times: Arc<ArcSwap<UpgradeTimes>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) replaced: ReplacedProcesses,
    pub(super) control: Handle,
    pub(super) stats: Stats,
    pub(super) tickets: Tickets,
    /// The program of upgrades that name none, if the server before has said so.
    pub(super) program: Option<PathBuf>,
}

struct Inner {
    program: DefaultProgram,
    server: Upgradable,
    turn: tokio::sync::Mutex<()>,
    /// The process that is about to take over.
    child: Mutex<Option<Child>>,
    taken_over: watch::Sender<Option<TakenOver>>,
    /// What is done for the process that has taken over.
    service: Mutex<Option<aftermath::Service>>,
    is_lost: AtomicBool,
}

/// A process that has all but the state.
struct Begun {
    channel: Channel,
    pid: u32,
    version: String,
    /// Whether it makes of the state what this one can't read.
    migrates: bool,
}

impl Upgrades {
    pub(super) fn new(server: Upgradable) -> Self {
        let (turn, child, taken_over) =
            (tokio::sync::Mutex::default(), Mutex::default(), watch::Sender::default());
        let program = DefaultProgram::of(server.program.clone());
        Self {
            inner: Arc::new(Inner {
                program,
                server,
                turn,
                child,
                taken_over,
                service: Mutex::default(),
                is_lost: AtomicBool::new(false),
            }),
        }
    }

    /// Whether another program stands where this process's was.
    pub(crate) fn has_new_program(&self) -> bool {
        self.inner.program.is_new()
    }

    /// Waits until another process has taken over.
    pub(crate) async fn taken_over(&self) -> TakenOver {
        let mut taken_over = self.inner.taken_over.subscribe();
        match taken_over.wait_for(Option::is_some).await.map(|taken| *taken) {
            Ok(Some(taken_over)) => taken_over,
            // Its sender is here.
            _ => std::future::pending().await,
        }
    }

    /// Has `program`, or what stands where this process's program was, take over. If it can't, nothing has changed.
    ///
    /// The caller must see to it that this runs to its end even when nobody waits any more.
    ///
    /// # Errors
    /// When it can't be started, can't serve, or is too slow.
    pub(crate) async fn upgrade(
        &self,
        program: Option<PathBuf>,
        migrate: bool,
        progress: impl Fn(UpgradeProgress) + Send + Sync + 'static,
    ) -> Result<UpgradeReport, UpgradeError> {
        let inner = Arc::clone(&self.inner);
        let _turn = inner.turn.try_lock().map_err(|_| UpgradeError::UnderWay)?;
        if std::process::id() == 1 {
            return Err(UpgradeError::FirstProcess);
        }
        let started = Instant::now();
        let times = **inner.server.times.load();
        let deadline = started + times.takes_over;
        let program = program.unwrap_or_else(|| inner.program.path.clone());
        tracing::info!(program = %program.display(), "upgrading");
        let start = {
            let (inner, program) = (Arc::clone(&inner), program.clone());
            move || inner.begin(&program, deadline, migrate, &progress)
        };
        let begun = off_the_runtime(start).await;
        let Begun { mut channel, pid, version, migrates } = match begun {
            Ok(begun) => begun,
            Err(error) => return Err(self.failed(error, times)),
        };
        let given = {
            let inner = Arc::clone(&inner);
            let give = move |snapshot: &Snapshot| {
                let since = Instant::now();
                match inner.take_over(&mut channel, snapshot) {
                    Ok(keeps) => Ok((channel, keeps, since.elapsed())),
                    Err(error) => {
                        // Before the state is taken back.
                        let status = inner.end_child();
                        Err(error.ended_with(status))
                    }
                }
            };
            self.inner.server.plane.give_away(migrates, give).await
        };
        let given = given.map_err(UpgradeError::from).and_then(|given| given);
        let (channel, keeps_admin_socket, pause) = match given {
            Ok(given) => given,
            Err(error) => return Err(self.failed(error, times)),
        };
        // It goes on by itself.
        drop(inner.child.lock().take());
        let service = aftermath::begin(
            channel,
            inner.server.plane.clone(),
            Arc::clone(&inner.server.metrics),
        );
        *inner.service.lock() = Some(service);
        let report = UpgradeReport {
            pid,
            version,
            old_pid: std::process::id(),
            old_version: env!("CARGO_PKG_VERSION").to_owned(),
            pause_ms: whole_millis(pause),
            took_ms: whole_millis(started.elapsed()),
            connections: inner.server.metrics.connections.count(),
            drain_timeout_ms: whole_millis(times.drain),
        };
        tracing::info!(pid, version = report.version, took_ms = report.took_ms, "upgraded");
        inner.taken_over.send_replace(Some(TakenOver { pid, keeps_admin_socket }));
        Ok(report)
    }

    /// Ends the process that is about to take over, if one is.
    pub(super) fn abandon(&self) {
        self.inner.end_child();
    }

    /// Whether the process that has taken over has ended.
    pub(crate) fn has_lost_successor(&self) -> bool {
        let is_lost = self.inner.service.lock().as_ref().is_some_and(aftermath::Service::is_lost);
        is_lost || self.inner.is_lost.load(Ordering::Relaxed)
    }

    /// Says to the process that has taken over what there is to say yet.
    pub(super) async fn say_the_last(&self) {
        let service = self.inner.service.lock().take();
        if let Some(service) = service {
            self.inner.is_lost.store(service.is_lost(), Ordering::Relaxed);
            let _ = tokio::task::spawn_blocking(move || service.end()).await;
        }
    }

    fn failed(&self, error: UpgradeError, times: UpgradeTimes) -> UpgradeError {
        let status = self.inner.end_child();
        let error = match error {
            UpgradeError::Channel(ChannelError::Late) => {
                UpgradeError::Late { within: times.takes_over }
            }
            error => error.ended_with(status),
        };
        tracing::error!(error = error.in_full(), "not upgraded: nothing changed");
        error
    }
}

impl Inner {
    /// Starts the other process, and waits until it has all but the state.
    fn begin(
        &self,
        program: &Path,
        deadline: Instant,
        migrate: bool,
        progress: &(impl Fn(UpgradeProgress) + Send + Sync),
    ) -> Result<Begun, UpgradeError> {
        let (ours, theirs) = UnixStream::pair().map_err(ChannelError::from)?;
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let mut command = Command::new(program);
        command.args(arguments).env(VARIABLE, std::process::id().to_string());
        command.stdin(OwnedFd::from(theirs));
        let cannot_start = |source| UpgradeError::Start { program: program.to_owned(), source };
        let child = command.spawn().map_err(cannot_start)?;
        // It holds the other end until then.
        drop(command);
        let pid = child.id();
        *self.child.lock() = Some(child);
        progress(UpgradeProgress::Started { pid });
        let mut channel = Channel::new(ours, deadline);
        let replaced = self.server.replaced.to_hand_on();
        self.server.sockets.with_held(|held| {
            let hello = Hello {
                protocol: PROTOCOL,
                pid: std::process::id(),
                sockets: held.iter().map(|held| held.is.clone()).collect(),
                program: Some(self.program.path.clone()),
                replaced: replaced.iter().map(|(is, _)| is.clone()).collect(),
            };
            let sockets = held.iter().map(|held| held.socket.as_fd());
            let channels = replaced.iter().map(|(_, channel)| channel.as_fd());
            channel.send(&Incumbent::Hello(hello), &sockets.chain(channels).collect::<Vec<_>>())
        })?;
        let Prepared { protocol, version, schema, state_dir } = match channel.receive()? {
            Successor::Prepared(prepared) => prepared,
            Successor::Refused(refusal) => return Err(refusal.into()),
            Successor::Ready | Successor::Serving { .. } => {
                return Err(ChannelError::Foreign.into());
            }
        };
        if protocol != PROTOCOL {
            return Err(ChannelError::Foreign.into());
        }
        if state_dir != self.server.state_dir {
            return Err(UpgradeError::OtherState { state_dir, own: self.server.state_dir.clone() });
        }
        if schema < SCHEMA {
            return Err(UpgradeError::OlderSchema { version, schema, own: SCHEMA });
        }
        if schema > SCHEMA && !migrate {
            return Err(UpgradeError::Migrates { version, schema, own: SCHEMA });
        }
        progress(UpgradeProgress::Prepared { version: version.clone() });
        Ok(Begun { channel, pid, version, migrates: schema > SCHEMA })
    }

    /// Hands the state over, and then the sockets. Says whether the other process has the admin socket.
    fn take_over(&self, channel: &mut Channel, snapshot: &Snapshot) -> Result<bool, UpgradeError> {
        // Changes wait for it.
        channel.hurry(LONGEST_PAUSE);
        let carried = carried::gather(snapshot, &self.server.stats, &self.server.tickets);
        channel.send(&Incumbent::State(carried), &[])?;
        match channel.receive()? {
            Successor::Ready => {}
            Successor::Refused(refusal) => return Err(refusal.into()),
            Successor::Prepared(_) | Successor::Serving { .. } => {
                return Err(ChannelError::Foreign.into());
            }
        }
        // From here on those before this one listen to the other process.
        let paused = self.server.replaced.pause();
        let served = serve(channel);
        if served.is_err() {
            self.server.replaced.resume(paused, &self.server.plane, &self.server.control);
        }
        served
    }

    /// Ends the process that is about to take over, and waits until it is gone. Says how it ended by itself, if it
    /// did.
    fn end_child(&self) -> Option<String> {
        let mut child = self.child.lock().take()?;
        // One that has closed its end is about to end.
        let deadline = Instant::now() + Duration::from_millis(200);
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            ended = child.try_wait().ok().flatten();
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(status) = ended {
            return Some(status.to_string());
        }
        let _ = child.kill();
        let deadline = Instant::now() + GONE;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

fn serve(channel: &mut Channel) -> Result<bool, UpgradeError> {
    channel.send(&Incumbent::Serve, &[])?;
    match channel.receive()? {
        Successor::Serving { keeps_admin_socket } => Ok(keeps_admin_socket),
        Successor::Refused(refusal) => Err(refusal.into()),
        Successor::Prepared(_) | Successor::Ready => Err(ChannelError::Foreign.into()),
    }
}

/// Upgrades for clients of the admin socket.
pub(super) fn upgrade_by(upgrades: &Upgrades) -> UpgradeServer {
    let upgrades = upgrades.clone();
    UpgradeServer::new(move |program, migrate, progress| {
        let upgrades = upgrades.clone();
        async move { upgrades.upgrade(program, migrate, progress).await }
    })
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UpgradeError> + Send + 'static,
) -> Result<T, UpgradeError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|_| crate::control::ControlError::Stopping)?
}
