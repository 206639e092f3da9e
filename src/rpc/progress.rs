//! Where the progress of a call goes: to the lines of the connection that made it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::envelope::{HEARTBEAT, Notification, PROGRESS, ProgressParams, RequestId, Version};

/// Reports that wait for a slow client.
pub(super) const MAX_WAITING: usize = 64;

/// The bytes of them; a report that is longer waits alone.
const MAX_WAITING_BYTES: u32 = 256 * 1024;

/// Takes what a method reports while it is under way.
#[derive(Clone)]
pub(crate) enum ProgressSink {
    /// A request on a connection of lines.
    Lines {
        /// The request's id.
        id: RequestId,
        /// The connection's lines.
        lines: mpsc::Sender<Outgoing>,
        /// Of the lines that wait.
        budget: WaitingBudget,
    },
    /// Somebody who takes the reports as they are.
    Values {
        /// The reports.
        values: mpsc::Sender<(Value, WaitingBytes)>,
        /// Of the reports that wait.
        budget: WaitingBudget,
    },
    /// Progress is dropped: for a notification, and for a request that wants the result alone.
    Nobody,
}

/// A line for the client, without its end.
pub(crate) struct Outgoing {
    pub(super) text: String,
    /// Told when the client's side has taken it.
    pub(super) written: Option<oneshot::Sender<()>>,
    /// What it takes of the budget, until it is written.
    pub(super) waiting: Option<WaitingBytes>,
}

/// The bytes that may wait for one client.
#[derive(Clone)]
pub(crate) struct WaitingBudget(Arc<Semaphore>);

/// What a report takes of the budget while it waits.
pub(crate) type WaitingBytes = OwnedSemaphorePermit;

/// Reports as they come.
pub(crate) struct Reports(mpsc::Receiver<(Value, WaitingBytes)>);

/// The client takes no more.
#[derive(Debug)]
pub(crate) struct Gone;

impl Default for WaitingBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WAITING_BYTES as usize)))
    }
}

impl WaitingBudget {
    /// Takes so many bytes of it, once they are there.
    async fn enter(&self, bytes: usize) -> Result<WaitingBytes, Gone> {
        Arc::clone(&self.0).acquire_many_owned(charged(bytes)).await.map_err(|_| Gone)
    }

    /// The same, if they are there now.
    fn try_enter(&self, bytes: usize) -> Option<WaitingBytes> {
        Arc::clone(&self.0).try_acquire_many_owned(charged(bytes)).ok()
    }
}

fn charged(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).min(MAX_WAITING_BYTES)
}

impl Reports {
    /// The next report; `None` when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        self.0.recv().await.map(|(report, _)| report)
    }
}

impl ProgressSink {
    /// A sink for reports as they are, and where they come out.
    pub(crate) fn values() -> (Self, Reports) {
        let (values, reports) = mpsc::channel(MAX_WAITING);
        (Self::Values { values, budget: WaitingBudget::default() }, Reports(reports))
    }

    /// Reports how far it is, as far as the client keeps up: a later report says more.
    pub(super) fn report(&self, progress: Value) {
        match self {
            Self::Lines { id, lines, budget } => {
                if let Some(mut line) = line(id, progress)
                    && let Some(waiting) = budget.try_enter(line.text.len())
                {
                    line.waiting = Some(waiting);
                    let _ = lines.try_send(line);
                }
            }
            Self::Values { values, budget } => {
                if let Some(waiting) = budget.try_enter(length(&progress)) {
                    let _ = values.try_send((progress, waiting));
                }
            }
            Self::Nobody => {}
        }
    }

    /// Reports what must not be lost; waits for a slow client.
    pub(super) async fn deliver(&self, progress: Value) -> Result<(), Gone> {
        match self {
            // When the client disconnects, the receiver is dropped with what waited in it, so this ends.
            Self::Lines { id, lines, budget } => {
                let mut line = line(id, progress).ok_or(Gone)?;
                line.waiting = Some(budget.enter(line.text.len()).await?);
                lines.send(line).await.map_err(|_| Gone)
            }
            Self::Values { values, budget } => {
                let waiting = budget.enter(length(&progress)).await?;
                values.send((progress, waiting)).await.map_err(|_| Gone)
            }
            Self::Nobody => Err(Gone),
        }
    }

    /// Checks that the client is still there; on a connection of lines by sending a heartbeat.
    pub(super) async fn beat(&self) -> Result<(), Gone> {
        match self {
            Self::Lines { lines, .. } => {
                let line = to_line(HEARTBEAT, serde_json::Map::new()).ok_or(Gone)?;
                lines.send(line).await.map_err(|_| Gone)
            }
            Self::Values { values, .. } if !values.is_closed() => Ok(()),
            Self::Values { .. } | Self::Nobody => Err(Gone),
        }
    }
}

fn line(id: &RequestId, progress: Value) -> Option<Outgoing> {
    to_line(PROGRESS, ProgressParams { id: id.clone(), progress })
}

fn to_line<P: Serialize>(method: &'static str, params: P) -> Option<Outgoing> {
    let text = serde_json::to_string(&Notification { jsonrpc: Version, method, params }).ok()?;
    Some(Outgoing { text, written: None, waiting: None })
}

/// The bytes that a report has as JSON.
fn length(report: &Value) -> usize {
    let mut counter = Counter(0);
    // It counts, and counting does not fail.
    let _ = serde_json::to_writer(&mut counter, report);
    counter.0
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Delivers reports of so many bytes until one has to wait; how many it took.
    async fn delivered(sink: &ProgressSink, bytes: usize) -> usize {
        let mut taken = 0;
        loop {
            let deliver = sink.deliver(json!("x".repeat(bytes)));
            let deliver = std::pin::pin!(tokio::task::unconstrained(deliver));
            // Nobody takes anything meanwhile, so one that has to wait waits on.
            match futures_util::poll!(deliver) {
                std::task::Poll::Ready(delivered) => delivered.unwrap(),
                std::task::Poll::Pending => return taken,
            }
            taken += 1;
        }
    }

    #[tokio::test]
    async fn what_waits_for_a_client_has_a_bound_in_number_and_in_bytes() {
        for (bytes, most) in [(1, MAX_WAITING), (100_000, 2), (10_000_000, 1)] {
            let (sink, mut reports) = ProgressSink::values();
            assert_eq!(delivered(&sink, bytes).await, most, "of {bytes} bytes");
            sink.report(json!("y".repeat(bytes)));
            for _ in 0..most {
                assert!(reports.next().await.unwrap().as_str().unwrap().starts_with('x'));
            }
            assert_eq!(delivered(&sink, bytes).await, most, "what was taken waits no more");

            let (lines, mut outgoing) = mpsc::channel(MAX_WAITING);
            let sink = ProgressSink::Lines {
                id: RequestId::Number(1),
                lines,
                budget: WaitingBudget::default(),
            };
            assert_eq!(delivered(&sink, bytes).await, most, "lines of {bytes} bytes");
            let line = outgoing.recv().await.unwrap();
            assert_eq!(
                delivered(&sink, bytes).await,
                usize::from(bytes == 1),
                "it is not written yet"
            );
            drop(line);
            drop(outgoing);
            assert!(sink.deliver(json!(1)).await.is_err(), "nobody is there");
        }
    }
}
