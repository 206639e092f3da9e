//! Where the progress of one request goes.

use serde_json::Value;
use tokio::sync::mpsc;

use super::envelope::{Notification, PROGRESS, ProgressParams, RequestId, Version};

/// The way of one request's progress to its client. Goes nowhere for a request that has no id.
#[derive(Debug, Clone)]
pub(super) struct ProgressSink {
    id: Option<RequestId>,
    lines: mpsc::Sender<String>,
}

impl ProgressSink {
    /// For the request `id`, of a client that gets these lines.
    pub(super) fn new(id: Option<RequestId>, lines: mpsc::Sender<String>) -> Self {
        Self { id, lines }
    }

    /// Sends what is soon no longer so, as far as the client keeps up.
    pub(super) fn offer(&self, progress: Value) {
        if let Some(line) = self.line(progress) {
            let _ = self.lines.try_send(line);
        }
    }

    /// Sends what must not be missed, at the pace of the client. Tells whether it still listens.
    pub(super) async fn send(&self, progress: Value) -> bool {
        match self.line(progress) {
            Some(line) => self.lines.send(line).await.is_ok(),
            None => false,
        }
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        self.lines.closed().await;
    }

    fn line(&self, progress: Value) -> Option<String> {
        let params = ProgressParams { id: self.id.clone()?, progress };
        let notification = Notification { jsonrpc: Version, method: PROGRESS, params };
        serde_json::to_string(&notification).ok()
    }
}
