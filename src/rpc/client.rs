//! The client's end of the admin socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep};

use super::envelope::{
    Fault, Incoming, MAX_LINE, PROGRESS, ProgressParams, Request, RequestId, Version,
};
use super::folder::{self, FolderError};
use super::lines::{self, Line};
use super::method::Method;
use super::version::PeerVersion;

#[cfg(test)]
pub(crate) mod fake_server;
#[cfg(test)]
mod tests;

/// A connection to a server's admin socket.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    next_id: i64,
    longest_line: usize,
    /// The server's version, once it has answered.
    server: Option<PeerVersion>,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// When nothing listens there, the socket may not be opened, or strangers may have put it there.
    pub(crate) async fn connect(path: &Path) -> Result<Self, ClientError> {
        let own = nix::unistd::Uid::effective().as_raw();
        let listeners = folder::examine(path.parent().unwrap_or(Path::new("/")), own)
            .map_err(|source| ClientError::Untrusted { path: path.to_owned(), source })?;
        let deadline = Instant::now() + BACKLOG_WAIT;
        let stream = loop {
            match UnixStream::connect(path).await {
                Ok(stream) => break stream,
                // A burst of clients fills the listener's backlog for a moment; the kernel then
                // refuses a non-blocking connect instead of queueing it.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
                {
                    sleep(BACKLOG_RETRY).await;
                }
                Err(error) => return Err(ClientError::connecting(path, error)),
            }
        };
        // Before anything is sent: it may be a secret, or an order.
        let peer = stream.peer_cred().map_err(|error| ClientError::connecting(path, error))?;
        if !listeners.include(peer.uid()) {
            return Err(ClientError::Stranger { path: path.to_owned(), uid: peer.uid() });
        }
        let (reader, writer) = stream.into_split();
        let reader = BufReader::new(reader);
        Ok(Self { reader, writer, next_id: 1, longest_line: MAX_LINE, server: None })
    }

    /// Calls a method and waits for its result; `on_progress` gets what it reports until then.
    ///
    /// A call that was dropped half-way leaves its answer on the connection: drop the client too.
    ///
    /// # Errors
    /// When the server refuses or fails, or the connection does.
    pub(crate) async fn call<M: Method>(
        &mut self,
        params: &M::Params,
        mut on_progress: impl FnMut(M::Progress),
    ) -> Result<M::Result, ClientError> {
        let result = self
            .call_by_name(M::NAME, params, |progress| {
                // Reports that a newer server added are no reason to fail.
                if let Ok(progress) = serde_json::from_value(progress) {
                    on_progress(progress);
                }
            })
            .await?;
        serde_json::from_value(result).map_err(|error| ClientError::Protocol {
            reason: format!("`{}`: {error}", M::NAME),
            server: self.server.filter(|server| *server != PeerVersion::OWN),
        })
    }

    /// As [`Self::call`], for a method that this client need not know.
    ///
    /// # Errors
    /// When the server refuses or fails, or the connection does.
    pub(crate) async fn call_by_name(
        &mut self,
        method: &str,
        params: &(impl Serialize + ?Sized),
        mut on_progress: impl FnMut(Value),
    ) -> Result<Value, ClientError> {
        let id = RequestId::Number(self.next_id);
        self.next_id += 1;
        let sent = self.send(method, &id, params).await;
        loop {
            // A server that turns a client away says why and closes without reading, so the answer
            // counts even when the request could not be written.
            let line = match (self.read_line().await, &sent) {
                (Err(ClientError::Closed { .. }), Err(error)) => {
                    return Err(ClientError::Closed { source: Some(error.kind().into()) });
                }
                (line, _) => line?,
            };
            let incoming: Incoming = serde_json::from_slice(&line).map_err(|error| {
                ClientError::Protocol { reason: error.to_string(), server: None }
            })?;
            match incoming {
                // The id is null when the server could not read the request's.
                Incoming { error: Some(fault), id: answered, .. }
                    if answered.is_none() || answered.as_ref() == Some(&id) =>
                {
                    return Err(ClientError::Fault(fault));
                }
                Incoming { method: Some(method), params, .. } => {
                    if method == PROGRESS
                        && let Some(progress) = progress(&id, params)
                    {
                        on_progress(progress);
                    }
                }
                Incoming { id: Some(answered), result: Some(result), server, .. }
                    if answered == id =>
                {
                    self.server = server;
                    return Ok(result);
                }
                _ => {
                    let reason = "it answers something that was not asked".to_owned();
                    return Err(ClientError::Protocol { reason, server: None });
                }
            }
        }
    }

    async fn send(
        &mut self,
        method: &str,
        id: &RequestId,
        params: &(impl Serialize + ?Sized),
    ) -> io::Result<()> {
        let (id, client) = (id.clone(), PeerVersion::OWN);
        let request = Request { jsonrpc: Version, id, client, method, params };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.writer.write_all(&line).await
    }

    async fn read_line(&mut self) -> Result<Vec<u8>, ClientError> {
        let max = self.longest_line;
        match lines::read(&mut self.reader, max).await {
            Ok(Line::Whole(line)) => Ok(line),
            Ok(Line::TooLong) => Err(ClientError::Protocol {
                reason: format!("a line of more than {max} bytes"),
                server: None,
            }),
            Ok(Line::End) => Err(ClientError::Closed { source: None }),
            Err(error) => Err(ClientError::Closed { source: Some(error) }),
        }
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens at the socket.
    #[error("no server at `{}`", path.display())]
    NoServer {
        /// The socket's path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket may not be opened.
    #[error("no permission to use the socket `{}`", path.display())]
    Denied {
        /// The socket's path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket cannot be connected to for another reason.
    #[error("cannot connect to the socket `{}`", path.display())]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Strangers may have put the socket there.
    #[error("the directory of the socket `{}` cannot be trusted", path.display())]
    Untrusted {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong with the directory.
        source: FolderError,
    },
    /// A stranger listens at the socket.
    #[error("a process of the user {uid} listens on `{}`, which anybody could do", path.display())]
    Stranger {
        /// The socket's path.
        path: PathBuf,
        /// Whose process it is.
        uid: u32,
    },
    /// The connection ended before the result came.
    #[error("the server closed the connection before it answered")]
    Closed {
        /// What the kernel said, where it was not a plain end.
        source: Option<io::Error>,
    },
    /// The reply is not one that the method has.
    #[error("{}", unreadable(.reason, *.server))]
    Protocol {
        /// What is wrong with it.
        reason: String,
        /// The server's version, where it is another one than the client's.
        server: Option<PeerVersion>,
    },
    /// The server refused or failed.
    #[error("{}", .0.message)]
    Fault(Fault),
}

impl ClientError {
    fn connecting(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotADirectory => Self::NoServer { path, source },
            io::ErrorKind::PermissionDenied => Self::Denied { path, source },
            _ => Self::Connect { path, source },
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoServer { .. } => {
                "start it with `vhost serve --config FILE`, or name its socket with `--socket` or \
                 `VHOST_SOCKET`"
            }
            Self::Denied { .. } => {
                "run this as the server's user or as root, or give a group of yours the socket \
                 with `admin_group` in the config's `[proxy]`"
            }
            Self::Connect { .. } => "name the server's socket with `--socket` or `VHOST_SOCKET`",
            Self::Untrusted { source, .. } => return Some(source.hint()),
            Self::Stranger { .. } => {
                "nothing was sent; run this as that user if it is the server's, or keep the socket \
                 in a directory that only root or the server's user can make"
            }
            Self::Closed { .. } => {
                "what was asked for may still be running at the server; see `vhost ctl history`"
            }
            Self::Protocol { server: Some(server), .. } if *server > PeerVersion::OWN => {
                "update this `vhost`: it is older than the server"
            }
            Self::Protocol { server: Some(_), .. } => {
                "update the server: it is older than this `vhost`"
            }
            Self::Protocol { server: None, .. } => {
                "check that the socket is a vhost server's and that both are of one version"
            }
            Self::Fault(fault) => return fault.data.hint.clone(),
        };
        Some(hint.to_owned())
    }
}

fn unreadable(reason: &str, server: Option<PeerVersion>) -> String {
    match server {
        None => format!("the reply is not the admin socket's: {reason}"),
        Some(server) => {
            let own = PeerVersion::OWN;
            format!("the server is vhost {server}, and this vhost {own} cannot read it: {reason}")
        }
    }
}

fn progress(id: &RequestId, params: Option<Value>) -> Option<Value> {
    let params: ProgressParams = serde_json::from_value(params?).ok()?;
    (params.id == *id).then_some(params.progress)
}

/// How long a connect waits for room in the listener's backlog, and how often it looks.
const BACKLOG_WAIT: Duration = Duration::from_secs(2);
const BACKLOG_RETRY: Duration = Duration::from_millis(10);
