//! The cap on backends of a pool that passive failures eject at once.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::model::{HealthStatus, PoolName};
use crate::state::{BackendNode, Reader};

/// The cap on ejections by passive failures. If everything fails, the cause is seldom the
/// backends, and those that stay in service still answer some requests. Probes are more reliable,
/// so they have no cap.
#[derive(Debug)]
pub(super) struct EjectionCap {
    reader: Reader,
    percent: AtomicU8,
}

impl EjectionCap {
    pub(super) fn new(reader: Reader, percent: u8) -> Self {
        Self { reader, percent: AtomicU8::new(percent) }
    }

    pub(super) fn set_percent(&self, percent: u8) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// Whether one more backend may be ejected.
    ///
    /// # Errors
    /// The pool of which too many would be ejected.
    pub(super) fn allows(&self, node: &BackendNode) -> Result<(), PoolName> {
        let percent = usize::from(self.percent.load(Ordering::Relaxed));
        let snapshot = self.reader.load();
        // Its tags may have changed since the watch began.
        let Some(now) = snapshot.backend(&node.backend.id) else { return Ok(()) };
        for name in now.backend.pools() {
            let Some(pool) = snapshot.pool(&name) else { continue };
            let is_out =
                |node: &&std::sync::Arc<BackendNode>| node.live.health() == HealthStatus::Unhealthy;
            let (ready, out) = (pool.ready().count(), pool.ready().filter(is_out).count());
            if (out + 1) * 100 > ready * percent {
                return Err(name);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::backend;
    use crate::model::{Change, HealthReport, Scheme};
    use crate::state::{Snapshot, publication};

    #[test]
    fn never_more_than_the_share_of_any_pool_is_put_out() {
        let changes = (0..4).map(|index| {
            let mut backend = backend(&format!("b{index}"), "127.0.0.1:1", Scheme::Http);
            if index == 3 {
                backend.tags.insert("alone".parse().unwrap());
            }
            Change::PutBackend(backend)
        });
        let snapshot = Snapshot::default().after(changes.collect(), 1);
        let (_publisher, reader) = publication(snapshot.clone());
        let cap = EjectionCap::new(reader, 50);
        let nodes: Vec<_> = snapshot.backends().collect();
        let put_out = |index: usize| {
            let status = HealthStatus::Unhealthy;
            nodes[index].live.set_health_report(HealthReport { status, ..Default::default() });
        };
        let pool = |tag: &str| PoolName { app: None, tag: tag.parse().unwrap() };
        assert_eq!(cap.allows(nodes[3]), Err(pool("alone")));
        for (index, node) in nodes.iter().enumerate().take(2) {
            assert_eq!(cap.allows(node), Ok(()));
            put_out(index);
        }
        assert_eq!(cap.allows(nodes[2]), Err(pool("a")));
        cap.set_percent(100);
        assert_eq!(cap.allows(nodes[3]), Ok(()));
        cap.set_percent(0);
        assert!(cap.allows(nodes[2]).is_err());
    }
}
