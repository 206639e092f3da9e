//! Refuses what would leave a tag that serves, live or by a path, without a backend that can.

use std::sync::Arc;

use super::ControlError;
use crate::model::{BackendState, HealthStatus, PoolName};
use crate::state::{BackendNode, Snapshot};

/// Checks that every pool among `pools` that serves does so as well once `leaving` is gone from it.
pub(super) fn check(
    snapshot: &Snapshot,
    leaving: &Arc<BackendNode>,
    mut pools: Vec<PoolName>,
) -> Result<(), ControlError> {
    pools.retain(|pool| is_lost(snapshot, leaving, pool));
    if pools.is_empty() {
        return Ok(());
    }
    let served = snapshot.domains().map(|node| &node.virtual_host).find_map(|virtual_host| {
        let pool = virtual_host.serving_pools().find(|pool| pools.contains(pool))?;
        Some((virtual_host, pool.tag))
    });
    match served {
        None => Ok(()),
        Some((virtual_host, tag)) => Err(ControlError::LastBackend {
            backend: leaving.backend.id.clone(),
            tag,
            domain: virtual_host.domain.clone(),
        }),
    }
}

fn is_lost(snapshot: &Snapshot, leaving: &Arc<BackendNode>, pool: &PoolName) -> bool {
    let Some(pool) = snapshot.pool(pool) else { return false };
    let others = pool.backends().iter().filter(|node| node.backend.id != leaving.backend.id);
    // The last that carries it at all, or fitter than all the others: who would serve in its place
    // has not proven that it can.
    others.map(fitness).max().is_none_or(|best| fitness(leaving) > best)
}

/// How likely a backend is to serve, in the order of the variants.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Out,
    Unhealthy,
    Unknown,
    Healthy,
}

fn fitness(node: &Arc<BackendNode>) -> Fitness {
    match (node.backend.state, node.live.health()) {
        (BackendState::Draining | BackendState::Disabled, _) => Fitness::Out,
        (BackendState::Ready, HealthStatus::Unhealthy) => Fitness::Unhealthy,
        (BackendState::Ready, HealthStatus::Unknown) => Fitness::Unknown,
        (BackendState::Ready, HealthStatus::Healthy) => Fitness::Healthy,
    }
}
