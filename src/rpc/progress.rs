//! Where the progress of a call goes: to the lines of the connection that made it.

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::envelope::{HEARTBEAT, Notification, PROGRESS, ProgressParams, RequestId, Version};

/// Takes what a method reports while it is under way.
#[derive(Clone)]
pub(super) struct ProgressSink {
    /// Without an id it was a notification, and nobody is told.
    id: Option<RequestId>,
    lines: mpsc::Sender<Outgoing>,
}

/// A line for the client, without its end.
pub(super) struct Outgoing {
    pub(super) text: String,
    /// Told when the client's side has taken it.
    pub(super) written: Option<oneshot::Sender<()>>,
}

/// The client takes no more.
#[derive(Debug)]
pub(super) struct Gone;

impl ProgressSink {
    /// For the request `id` on the connection that `lines` go to.
    pub(super) fn new(id: Option<RequestId>, lines: mpsc::Sender<Outgoing>) -> Self {
        Self { id, lines }
    }

    /// Reports how far it is, as far as the client keeps up: a later report says more.
    pub(super) fn report(&self, progress: Value) {
        if let Some(line) = self.line(progress) {
            let _ = self.lines.try_send(line);
        }
    }

    /// Reports what must not be lost; waits for a slow client.
    pub(super) async fn deliver(&self, progress: Value) -> Result<(), Gone> {
        match self.line(progress) {
            Some(line) => self.lines.send(line).await.map_err(|_| Gone),
            None => Err(Gone),
        }
    }

    /// Sends what tells nothing, to learn whether the client is still there.
    pub(super) async fn beat(&self) -> Result<(), Gone> {
        match to_line(HEARTBEAT, serde_json::Map::new()) {
            Some(line) if self.id.is_some() => self.lines.send(line).await.map_err(|_| Gone),
            _ => Err(Gone),
        }
    }

    fn line(&self, progress: Value) -> Option<Outgoing> {
        to_line(PROGRESS, ProgressParams { id: self.id.clone()?, progress })
    }
}

fn to_line<P: Serialize>(method: &'static str, params: P) -> Option<Outgoing> {
    let text = serde_json::to_string(&Notification { jsonrpc: Version, method, params }).ok()?;
    Some(Outgoing { text, written: None })
}
