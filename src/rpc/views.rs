//! The state as methods answer with it.

use std::sync::Arc;

use super::methods::backend::BackendInfo;
use super::methods::domain::{DomainInfo, PoolInfo, TagInFlight};
use crate::model::{BackendState, DomainName, HealthStatus, Tag, VirtualHost};
use crate::state::{BackendNode, DomainNode, Snapshot};

/// Domains that `backend.show` names at most.
const MOST_SERVED: usize = 10;

/// A virtual host with what serves it now.
pub(super) fn domain(snapshot: &Snapshot, node: &DomainNode) -> DomainInfo {
    let virtual_host = &node.virtual_host;
    let live = &virtual_host.live;
    DomainInfo {
        revision: snapshot.revision(),
        domain: virtual_host.domain.clone(),
        aliases: virtual_host.aliases.clone(),
        live: live.clone(),
        previous: virtual_host.previous.clone(),
        http_to_https: virtual_host.http_to_https,
        balance: virtual_host.balance,
        backends: pool(snapshot, live),
        in_flight: node
            .in_flight()
            .filter(|(tag, requests)| *tag == live || *requests > 0)
            .map(|(tag, requests)| TagInFlight { tag: tag.clone(), requests })
            .collect(),
    }
}

/// How many backends of a tag can serve.
pub(super) fn pool(snapshot: &Snapshot, tag: &Tag) -> PoolInfo {
    let mut info = PoolInfo { total: 0, ready: 0, healthy: 0 };
    for node in snapshot.pool(tag).into_iter().flat_map(|pool| pool.backends()) {
        info.total += 1;
        if node.backend.state == BackendState::Ready {
            info.ready += 1;
            info.healthy += usize::from(node.live.health() == HealthStatus::Healthy);
        }
    }
    info
}

/// A backend with what is observed of it; in lists without the domains it serves.
pub(super) fn backend(snapshot: &Snapshot, node: &BackendNode) -> BackendInfo {
    let backend = &node.backend;
    BackendInfo {
        revision: snapshot.revision(),
        id: backend.id.clone(),
        address: backend.address.clone(),
        resolved: node.live.endpoints().texts(),
        tags: backend.tags.clone(),
        weight: backend.weight,
        scheme: backend.scheme,
        state: backend.state,
        health: node.live.health_report(),
        in_flight: node.live.in_flight(),
        requests: node.live.requests(),
        failures: node.live.failures(),
        serves: Vec::new(),
    }
}

/// The domains whose live tag the backend carries.
pub(super) fn served_by(snapshot: &Snapshot, node: &BackendNode) -> Vec<DomainName> {
    if node.backend.state != BackendState::Ready {
        return Vec::new();
    }
    snapshot
        .domains()
        .filter(|domain| node.backend.tags.contains(&domain.virtual_host.live))
        .take(MOST_SERVED)
        .map(|domain| domain.virtual_host.domain.clone())
        .collect()
}

/// What needs a person.
pub(super) fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let unserved = snapshot.domains().filter(|node| !has_server(snapshot, node)).map(|node| {
        let VirtualHost { domain, live, .. } = &node.virtual_host;
        format!("`{domain}` has no backend that can serve (tag `{live}`)")
    });
    let is_sick = |node: &&Arc<BackendNode>| {
        node.backend.state == BackendState::Ready && node.live.health() == HealthStatus::Unhealthy
    };
    let sick = snapshot.backends().filter(is_sick).map(|node| {
        let reason = node.live.health_report().last_error;
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        format!("`{}` is unhealthy{reason}", node.backend.id)
    });
    let mut warnings = some(unserved, "domains without a backend that can serve");
    warnings.extend(some(sick, "unhealthy backends"));
    warnings
}

/// As many as a person reads, and how many more there are.
fn some(mut all: impl Iterator<Item = String>, what: &str) -> Vec<String> {
    const MOST: usize = 20;
    let mut some: Vec<String> = all.by_ref().take(MOST).collect();
    let more = all.count();
    if more > 0 {
        some.push(format!("and {more} more {what}"));
    }
    some
}

fn has_server(snapshot: &Snapshot, node: &Arc<DomainNode>) -> bool {
    snapshot.pool(&node.virtual_host.live).is_some_and(|pool| {
        pool.ready().any(|backend| backend.live.health() != HealthStatus::Unhealthy)
    })
}
