//! Proves a tag healthy by probes made now.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::span;
use super::{ControlError, find};
use crate::clock::now_ms;
use crate::model::{BackendAnswer, BackendId, HealthReport, HealthStatus, PoolName};
use crate::state::{BackendNode, Pool, Snapshot};

/// Between two probes of a backend that did not answer well, so that one that is just starting is
/// found soon and not drowned in probes.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Between two probes of a backend that answered well, but not often enough yet.
const AFTER_SUCCESS: Duration = Duration::from_millis(20);

/// Probes a backend now. Given by the server, so that control need not know how probing works.
pub(crate) type ProbeNow =
    Arc<dyn Fn(Arc<BackendNode>) -> Pin<Box<dyn Future<Output = Probed> + Send>> + Send + Sync>;

/// The outcome of a probe.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    /// Whether this very probe succeeded.
    pub succeeded: bool,
    /// What is known of the backend after it.
    pub report: HealthReport,
}

/// How many of `ready` backends must be healthy.
pub(super) fn needed(ready: usize, percent: u8) -> usize {
    (ready * usize::from(percent)).div_ceil(100).max(1)
}

/// Probes every ready backend of `pool` until enough are proven healthy: a probe made now succeeded,
/// and with it those in a row that the thresholds want. Returns who was.
pub(super) async fn prove(
    snapshot: &Snapshot,
    pool: &PoolName,
    percent: u8,
    timeout: Duration,
    probe: &ProbeNow,
    mut progress: impl FnMut(usize, usize, usize),
) -> Result<BTreeSet<BackendId>, ControlError> {
    let tag = pool.tag.clone();
    let pool = ready_pool(snapshot, pool)?;
    let backends: Vec<Arc<BackendNode>> = pool.ready().cloned().collect();
    let total = backends.len();
    let needed = needed(total, percent);
    progress(0, needed, total);
    let deadline = Instant::now() + timeout;
    let opened_ms = now_ms();
    let mut probing = JoinSet::new();
    for node in &backends {
        probing.spawn(until_healthy(Arc::clone(node), Arc::clone(probe)));
    }
    let mut healthy = BTreeSet::new();
    while healthy.len() < needed {
        match tokio::time::timeout_at(deadline, probing.join_next()).await {
            Ok(Some(Ok(id))) => {
                healthy.insert(id);
                progress(healthy.len(), needed, total);
            }
            Ok(Some(Err(_panicked))) => {}
            Ok(None) | Err(_) => {
                return Err(ControlError::GateFailed {
                    tag,
                    healthy: healthy.len(),
                    needed,
                    total,
                    waited: timeout,
                    answers: answers(&backends, opened_ms, timeout),
                });
            }
        }
    }
    Ok(healthy)
}

/// The pool of that name, which has at least one ready backend.
pub(super) fn ready_pool<'a>(
    snapshot: &'a Snapshot,
    name: &PoolName,
) -> Result<&'a Arc<Pool>, ControlError> {
    find::carried(snapshot, name)?;
    let pool = snapshot.pool(name).filter(|pool| pool.ready().next().is_some());
    pool.ok_or_else(|| ControlError::NoneReady {
        tag: name.tag.clone(),
        backends: snapshot
            .pool(name)
            .into_iter()
            .flat_map(|pool| pool.backends())
            .map(|node| (node.backend.id.clone(), node.backend.state))
            .collect(),
    })
}

async fn until_healthy(node: Arc<BackendNode>, probe: ProbeNow) -> BackendId {
    loop {
        let probed = probe(Arc::clone(&node)).await;
        if probed.succeeded && probed.report.status == HealthStatus::Healthy {
            return node.backend.id.clone();
        }
        let pause = if probed.succeeded { AFTER_SUCCESS } else { AFTER_FAILURE };
        tokio::time::sleep(pause).await;
    }
}

/// Each backend with its last answer; of one that has not answered `since_ms`, that.
pub(super) fn answers(
    backends: &[Arc<BackendNode>],
    since_ms: u64,
    waited: Duration,
) -> Vec<BackendAnswer> {
    backends
        .iter()
        .map(|node| {
            let mut health = node.live.health_report();
            if health.checked_ms.is_none_or(|checked| checked < since_ms) {
                health.last_error = Some(format!("no answer within {}", span(waited)));
            }
            BackendAnswer { backend: node.backend.id.clone(), health }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_nothing() {
        for (ready, percent, expected) in
            [(1, 1, 1), (2, 100, 2), (2, 50, 1), (3, 50, 2), (12, 90, 11), (10, 1, 1)]
        {
            assert_eq!(needed(ready, percent), expected, "{percent} % of {ready}");
        }
    }
}
