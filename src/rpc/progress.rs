//! Where the progress of a call goes: to the lines of the connection that made it.

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::envelope::{HEARTBEAT, Notification, PROGRESS, ProgressParams, RequestId, Version};

/// Takes what a method reports while it is under way.
#[derive(Clone)]
pub(crate) enum ProgressSink {
    /// A request on a connection of lines.
    Lines {
        /// The request's id.
        id: RequestId,
        /// The connection's lines.
        lines: mpsc::Sender<Outgoing>,
    },
    /// Somebody who takes the reports as they are.
    Values(mpsc::Sender<Value>),
    /// Nobody is told: of a notification, and of a request that wants the end alone.
    Nobody,
}

/// A line for the client, without its end.
pub(crate) struct Outgoing {
    pub(super) text: String,
    /// Told when the client's side has taken it.
    pub(super) written: Option<oneshot::Sender<()>>,
}

/// The client takes no more.
#[derive(Debug)]
pub(crate) struct Gone;

impl ProgressSink {
    /// Reports how far it is, as far as the client keeps up: a later report says more.
    pub(super) fn report(&self, progress: Value) {
        match self {
            Self::Lines { id, lines } => {
                if let Some(line) = line(id, progress) {
                    let _ = lines.try_send(line);
                }
            }
            Self::Values(values) => {
                let _ = values.try_send(progress);
            }
            Self::Nobody => {}
        }
    }

    /// Reports what must not be lost; waits for a slow client.
    pub(super) async fn deliver(&self, progress: Value) -> Result<(), Gone> {
        match self {
            Self::Lines { id, lines } => {
                let line = line(id, progress).ok_or(Gone)?;
                lines.send(line).await.map_err(|_| Gone)
            }
            Self::Values(values) => values.send(progress).await.map_err(|_| Gone),
            Self::Nobody => Err(Gone),
        }
    }

    /// Learns whether the client is still there; one on a connection of lines is sent what tells
    /// nothing.
    pub(super) async fn beat(&self) -> Result<(), Gone> {
        match self {
            Self::Lines { lines, .. } => {
                let line = to_line(HEARTBEAT, serde_json::Map::new()).ok_or(Gone)?;
                lines.send(line).await.map_err(|_| Gone)
            }
            Self::Values(values) if !values.is_closed() => Ok(()),
            Self::Values(_) | Self::Nobody => Err(Gone),
        }
    }
}

fn line(id: &RequestId, progress: Value) -> Option<Outgoing> {
    to_line(PROGRESS, ProgressParams { id: id.clone(), progress })
}

fn to_line<P: Serialize>(method: &'static str, params: P) -> Option<Outgoing> {
    let text = serde_json::to_string(&Notification { jsonrpc: Version, method, params }).ok()?;
    Some(Outgoing { text, written: None })
}
