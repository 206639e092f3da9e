//! The server that this process takes over from.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::stat::SFlag;

use super::sockets::{Held, Serves};
use crate::clock::now_ms;
use crate::hand_over::{
    Channel, ChannelError, Hello, Incumbent, PROTOCOL, Prepared, Refusal, ReplacedProcess,
    Successor,
};
use crate::model::Carried;
use crate::store::SCHEMA;

/// Names the process that started this one to take over from it.
pub(super) const VARIABLE: &str = "VHOST_TAKES_OVER_FROM";

/// Whoever started this process ends it when it takes too long; this is for one that can't.
const LONGEST: Duration = Duration::from_mins(15);

/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// The server that this process takes over from. If it ends meanwhile, this process goes on alone: somebody must
/// serve.
#[derive(Debug)]
pub(crate) struct Predecessor {
    /// None when it has ended.
    channel: Option<Channel>,
    pid: u32,
    sockets: Vec<Held>,
    program: Option<PathBuf>,
    /// Those that it has replaced, with their channels.
    replaced: Vec<(ReplacedProcess, Channel)>,
}

impl Predecessor {
    /// The server that started this process to take over from it, if one did.
    ///
    /// # Errors
    /// When it can't be understood.
    pub(crate) fn of_this_process() -> Result<Option<Self>, ChannelError> {
        let named = std::env::var(VARIABLE).ok().and_then(|pid| pid.parse::<u32>().ok());
        // Programs that such a process starts have the variable, and no channel.
        let Some(pid) = named.filter(|_| is_socket(io::stdin().as_fd())) else { return Ok(None) };
        match Self::at_standard_input() {
            Err(ChannelError::Ended) => {
                wait_until_gone(pid);
                let (sockets, replaced) = (Vec::new(), Vec::new());
                Ok(Some(Self { channel: None, pid, sockets, program: None, replaced }))
            }
            predecessor => predecessor.map(Some),
        }
    }

    fn at_standard_input() -> Result<Self, ChannelError> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        // Nobody else is to hold it: the other end must see when this process ends.
        nix::unistd::dup2_stdin(File::open("/dev/null")?).map_err(io::Error::from)?;
        let mut channel = Channel::new(stream, Instant::now() + LONGEST);
        let hello = match channel.receive()? {
            Incumbent::Hello(hello) if hello.protocol == PROTOCOL => hello,
            _ => {
                let error = "it was started by a version from which it cannot take over".to_owned();
                channel.send(&Successor::Refused(Refusal { error, hint: None }), &[])?;
                return Err(ChannelError::Foreign);
            }
        };
        let Hello { pid, sockets, program, replaced, protocol: _ } = hello;
        let mut descriptors = channel.take_descriptors();
        if descriptors.len() != sockets.len() + replaced.len() {
            return Err(ChannelError::Foreign);
        }
        let channels = descriptors.split_off(sockets.len());
        let sockets = sockets.into_iter().zip(descriptors);
        let sockets =
            sockets.map(|(is, socket)| Held { is, serves: Serves::KeyAtAddress, socket }).collect();
        let replaced = replaced.into_iter().zip(channels);
        let replaced = replaced
            .map(|(is, channel)| (is, Channel::new(UnixStream::from(channel), Instant::now())))
            .collect();
        Ok(Self { channel: Some(channel), pid, sockets, program, replaced })
    }

    /// The sockets that it has handed over.
    pub(super) fn take_sockets(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.sockets)
    }

    /// The program of upgrades that name none.
    pub(super) fn program(&self) -> Option<PathBuf> {
        self.program.clone()
    }

    /// Whether it has not ended, as far as is known.
    pub(super) fn is_there(&self) -> bool {
        self.channel.is_some()
    }

    /// Announces that all but the state is there, and waits for that.
    ///
    /// # Errors
    /// When it can't be understood.
    pub(super) fn ask_for_state(&mut self, state_dir: &Path) -> Result<Carried, ChannelError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let state_dir = state_dir.to_owned();
        let prepared = Prepared { protocol: PROTOCOL, version, schema: SCHEMA, state_dir };
        match self.ask(&Successor::Prepared(prepared))? {
            Some(Incumbent::State(carried)) => Ok(carried),
            Some(_) => Err(ChannelError::Foreign),
            None => Ok(Carried::default()),
        }
    }

    /// Announces that this process could serve, and waits until it may.
    ///
    /// # Errors
    /// When it can't be understood.
    pub(super) fn ask_to_serve(&mut self) -> Result<(), ChannelError> {
        match self.ask(&Successor::Ready)? {
            Some(Incumbent::Serve) | None => Ok(()),
            Some(_) => Err(ChannelError::Foreign),
        }
    }

    /// Announces that this process serves. Gives those that are replaced now.
    pub(super) fn is_replaced(
        &mut self,
        keeps_admin_socket: bool,
    ) -> Vec<(ReplacedProcess, Channel)> {
        let mut replaced = std::mem::take(&mut self.replaced);
        if let Some(mut channel) = self.channel.take() {
            match channel.send(&Successor::Serving { keeps_admin_socket }, &[]) {
                Ok(()) => {
                    let is = ReplacedProcess { pid: self.pid, since_ms: now_ms() };
                    replaced.push((is, channel));
                }
                Err(error) => {
                    tracing::warn!(%error, "the server before does not hear that it is replaced");
                }
            }
        }
        replaced
    }

    /// Announces that this process can't serve.
    pub(crate) fn refuse(&mut self, error: String, hint: Option<String>) {
        if let Some(channel) = &mut self.channel {
            // Whoever has ended needs no reason.
            let _ = channel.send(&Successor::Refused(Refusal { error, hint }), &[]);
        }
    }

    fn ask(&mut self, message: &Successor) -> Result<Option<Incumbent>, ChannelError> {
        let Some(channel) = &mut self.channel else { return Ok(None) };
        match channel.send(message, &[]).and_then(|()| channel.receive()) {
            Ok(answer) => Ok(Some(answer)),
            Err(ChannelError::Ended) => {
                tracing::warn!("the server before has ended: going on without it");
                wait_until_gone(self.pid);
                self.channel = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_socket(descriptor: BorrowedFd<'_>) -> bool {
    nix::sys::stat::fstat(descriptor).is_ok_and(|found| {
        SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
    })
}

/// Whether a process runs, or is about to end and holds files yet.
fn is_there(pid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // Behind its name, which may be anything.
    let has_ended = status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    // One of its threads may hold them after the first has ended.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !has_ended || threads > 1
}

/// Waits until a process that was killed holds nothing any more: the kernel closes one thing after the other.
fn wait_until_gone(pid: u32) {
    let deadline = Instant::now() + GONE;
    while is_there(pid) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}
