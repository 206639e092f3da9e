//! Probes a backend, and waits for a domain or a backend to be as it should.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ControlError, ControlPlane, Probed, drain, find, gate};
use crate::model::{BackendId, BackendState, DomainName, HealthStatus};
use crate::state::{BackendNode, Snapshot};

impl ControlPlane {
    /// Waits until every ready backend of the domain's live tag is healthy.
    ///
    /// # Errors
    /// When there is no such domain, its live tag has no ready backend, or time runs out.
    pub(crate) async fn wait_healthy(
        &self,
        domain: &DomainName,
        timeout: Option<Duration>,
        progress: impl FnMut(usize) + Send,
    ) -> Result<(), ControlError> {
        // Looked up each time: a switch may move the domain meanwhile, or its backends may go.
        let ready = |snapshot: &Snapshot| -> Result<Vec<Arc<BackendNode>>, ControlError> {
            let live = &find::domain(snapshot, domain)?.live().pool;
            Ok(gate::ready_pool(snapshot, live)?.ready().cloned().collect())
        };
        self.until_healthy(&domain.to_string(), ready, timeout, progress).await
    }

    /// Probes a backend now. The outcome counts as that of any other probe.
    ///
    /// # Errors
    /// When there is no such backend.
    pub(crate) async fn probe_backend(&self, id: &BackendId) -> Result<Probed, ControlError> {
        let node = Arc::clone(find::backend(&self.snapshot(), id)?);
        Ok((self.inner.services.probe)(node).await)
    }

    /// Waits until a backend is healthy.
    ///
    /// # Errors
    /// When there is no such backend, or time runs out.
    pub(crate) async fn wait_backend_healthy(
        &self,
        id: &BackendId,
        timeout: Option<Duration>,
    ) -> Result<(), ControlError> {
        let one = |snapshot: &Snapshot| Ok(vec![Arc::clone(find::backend(snapshot, id)?)]);
        self.until_healthy(&id.to_string(), one, timeout, |_| {}).await
    }

    /// Waits until no request of the domain runs on a tag that is neither live nor that of a path.
    ///
    /// # Errors
    /// When there is no such domain, or time runs out.
    pub(crate) async fn wait_drained(
        &self,
        domain: &DomainName,
        timeout: Option<Duration>,
        progress: impl FnMut(usize) + Send,
    ) -> Result<(), ControlError> {
        find::domain(&self.snapshot(), domain)?;
        let timeout = timeout.unwrap_or(self.options().drain_timeout);
        let elsewhere = &self.inner.elsewhere;
        let remaining = || {
            let snapshot = self.snapshot();
            snapshot.domain(domain).map_or(0, |node| {
                let serving: Vec<_> = node.serving().iter().map(|of| of.tag().as_str()).collect();
                let name = node.virtual_host.domain.to_string();
                node.left_behind() + elsewhere.on_other_tags(&name, &serving)
            })
        };
        let ended = drain::until_none(remaining, Instant::now() + timeout, progress).await;
        ended.map_err(|remaining| ControlError::NotDrained {
            what: domain.to_string(),
            remaining,
            waited: timeout,
        })
    }

    async fn until_healthy(
        &self,
        what: &str,
        backends: impl Fn(&Snapshot) -> Result<Vec<Arc<BackendNode>>, ControlError> + Send + Sync,
        timeout: Option<Duration>,
        progress: impl FnMut(usize) + Send,
    ) -> Result<(), ControlError> {
        let timeout = timeout.unwrap_or(self.options().gate_timeout);
        // A backend that is out is not waited for; one that is gone ends the wait, with the error.
        let unhealthy = || {
            let waited_for = |node: &&Arc<BackendNode>| {
                node.live.health() != HealthStatus::Healthy
                    && node.backend.state == BackendState::Ready
            };
            backends(&self.snapshot()).map_or(0, |all| all.iter().filter(waited_for).count())
        };
        let ended = drain::until_none(unhealthy, Instant::now() + timeout, progress).await;
        let backends = backends(&self.snapshot())?;
        ended.map_err(|unhealthy| ControlError::NotHealthy {
            what: what.to_owned(),
            unhealthy,
            waited: timeout,
            answers: gate::answers(&backends, 0, timeout),
        })
    }
}
