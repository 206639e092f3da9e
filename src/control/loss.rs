//! Refuses what would leave a tag that serves, live or by a path, without a backend that can.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlError;
use crate::model::{BackendState, HealthStatus, Tag};
use crate::state::{BackendNode, Snapshot};

/// Checks that every tag among `tags` that serves does so as well once `leaving` is gone from its pool.
pub(super) fn check(
    snapshot: &Snapshot,
    leaving: &Arc<BackendNode>,
    tags: &BTreeSet<Tag>,
) -> Result<(), ControlError> {
    let lost: Vec<&Tag> = tags.iter().filter(|tag| is_lost(snapshot, leaving, tag)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let served = snapshot.domains().map(|node| &node.virtual_host).find_map(|virtual_host| {
        let tag = virtual_host.serving().find(|tag| lost.contains(tag))?;
        Some((virtual_host, tag))
    });
    match served {
        None => Ok(()),
        Some((virtual_host, tag)) => Err(ControlError::LastBackend {
            backend: leaving.backend.id.clone(),
            tag: tag.clone(),
            domain: virtual_host.domain.clone(),
        }),
    }
}

fn is_lost(snapshot: &Snapshot, leaving: &Arc<BackendNode>, tag: &Tag) -> bool {
    let Some(pool) = snapshot.pool(tag) else { return false };
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
