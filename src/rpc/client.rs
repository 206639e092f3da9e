//! The client's end of the admin socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep};

use super::envelope::{
    Fault, Incoming, MAX_LINE, PROGRESS, ProgressParams, Request, RequestId, Version,
};
use super::methods::Method;

#[cfg(test)]
pub(crate) mod fake_server;
#[cfg(test)]
mod tests;

/// A connection to a server's admin socket.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    next_id: i64,
    longest_line: usize,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// When nothing listens there, or the socket may not be opened.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
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
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer, next_id: 1, longest_line: MAX_LINE })
    }

    /// Calls a method and waits for its result; `on_progress` gets what it reports until then.
    ///
    /// A call that was dropped half-way leaves its answer on the connection: drop the client too.
    ///
    /// # Errors
    /// When the server refuses or fails, or the connection does.
    pub async fn call<M: Method>(
        &mut self,
        params: &M::Params,
        mut on_progress: impl FnMut(M::Progress),
    ) -> Result<M::Result, ClientError> {
        let told = |progress| {
            if let Ok(progress) = serde_json::from_value(progress) {
                on_progress(progress);
            }
        };
        let result = self.call_named(M::NAME, params, told).await?;
        serde_json::from_value(result)
            .map_err(|error| ClientError::Protocol { reason: format!("`{}`: {error}", M::NAME) })
    }

    /// The same for a method that only its name is known of.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_named(
        &mut self,
        method: &str,
        params: &impl serde::Serialize,
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
            let incoming: Incoming = serde_json::from_slice(&line)
                .map_err(|error| ClientError::Protocol { reason: error.to_string() })?;
            match incoming {
                // The id is null when the server could not read the request's.
                Incoming { error: Some(fault), id: answered, .. }
                    if answered.is_none() || answered.as_ref() == Some(&id) =>
                {
                    return Err(ClientError::Fault(fault));
                }
                Incoming { method: Some(method), params, .. } => {
                    // Reports that a newer server added are no reason to fail.
                    if method == PROGRESS
                        && let Some(progress) = progress(&id, params)
                    {
                        on_progress(progress);
                    }
                }
                Incoming { id: Some(answered), result: Some(result), .. } if answered == id => {
                    return Ok(result);
                }
                _ => {
                    let reason = "it answers something that was not asked".to_owned();
                    return Err(ClientError::Protocol { reason });
                }
            }
        }
    }

    async fn send(
        &mut self,
        method: &str,
        id: &RequestId,
        params: &impl serde::Serialize,
    ) -> io::Result<()> {
        let request = Request { jsonrpc: Version, id: id.clone(), method, params };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.writer.write_all(&line).await
    }

    async fn read_line(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut line = Vec::new();
        let longest = self.longest_line;
        let mut bounded = (&mut self.reader).take(longest as u64 + 1);
        bounded
            .read_until(b'\n', &mut line)
            .await
            .map_err(|error| ClientError::Closed { source: Some(error) })?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            Some(_) if line.len() >= longest => Err(ClientError::Protocol {
                reason: format!("a line of more than {longest} bytes"),
            }),
            _ => Err(ClientError::Closed { source: None }),
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
    /// The connection ended before the result came.
    #[error("the server closed the connection before it answered")]
    Closed {
        /// What the kernel said, where it was not a plain end.
        source: Option<io::Error>,
    },
    /// The reply is not one that the method has.
    #[error("the reply is not the admin socket's: {reason}")]
    Protocol {
        /// What is wrong with it.
        reason: String,
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
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::NoServer { .. } => {
                "start it with `vhost serve --config FILE`, or name its socket with `--socket` or \
                 `VHOST_SOCKET`"
            }
            Self::Denied { .. } => {
                "run this as the server's user or as root, or give a group of yours the socket \
                 with `admin_group` in the config's `[proxy]`"
            }
            Self::Connect { .. } => "name the server's socket with `--socket` or `VHOST_SOCKET`",
            Self::Closed { .. } => {
                "what was asked for may still be running at the server; see `vhost ctl history`"
            }
            Self::Protocol { .. } => {
                "check that the socket is a vhost server's and that both are of one version"
            }
            Self::Fault(fault) => return fault.data.hint.as_deref(),
        })
    }
}

fn progress(id: &RequestId, params: Option<Value>) -> Option<Value> {
    let params: ProgressParams = serde_json::from_value(params?).ok()?;
    (params.id == *id).then_some(params.progress)
}

/// How long a connect waits for room in the listener's backlog, and how often it looks.
const BACKLOG_WAIT: Duration = Duration::from_secs(2);
const BACKLOG_RETRY: Duration = Duration::from_millis(10);
