//! The state as methods answer with it.

use std::collections::HashMap;
use std::sync::Arc;

use super::methods::PAGE;
use super::methods::backend::{self, BackendInfo, BackendList};
use super::methods::domain::{self, DomainInfo, DomainList, PoolInfo, TagInFlight};
use crate::model::{BackendState, DomainName, HealthStatus, Tag};
use crate::state::{BackendNode, DomainNode, Snapshot};

/// Domains that `backend.show` names at most.
const MOST_SERVED: usize = 10;

/// One page of the virtual hosts.
pub(super) fn domains(snapshot: &Snapshot, params: &domain::ListParams) -> DomainList {
    // Many domains share a tag: its backends are counted once a page.
    let mut pools: HashMap<&Tag, PoolInfo> = HashMap::new();
    let mut nodes = snapshot.domains_after(params.after.as_ref());
    let domains: Vec<_> = nodes
        .by_ref()
        .take(page_size(params.limit))
        .map(|node| {
            let live = &node.virtual_host.live;
            let backends = *pools.entry(live).or_insert_with(|| pool(snapshot, live));
            served(snapshot, node, backends)
        })
        .collect();
    let goes_on = nodes.next().is_some();
    let next = domains.last().filter(|_| goes_on).map(|last| last.domain.clone());
    DomainList { revision: snapshot.revision(), domains, next }
}

/// One page of the backends, without the domains they serve.
pub(super) fn backends(snapshot: &Snapshot, params: &backend::ListParams) -> BackendList {
    let mut nodes = snapshot.backends_after(params.after.as_ref());
    let page = nodes.by_ref().take(page_size(params.limit));
    let backends: Vec<_> = page.map(|node| backend(snapshot, node)).collect();
    let goes_on = nodes.next().is_some();
    let next = backends.last().filter(|_| goes_on).map(|last| last.id.clone());
    BackendList { revision: snapshot.revision(), backends, next }
}

fn page_size(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, PAGE)
}

/// A virtual host with what serves it now.
pub(super) fn domain(snapshot: &Snapshot, node: &DomainNode) -> DomainInfo {
    served(snapshot, node, pool(snapshot, &node.virtual_host.live))
}

fn served(snapshot: &Snapshot, node: &DomainNode, backends: PoolInfo) -> DomainInfo {
    let virtual_host = &node.virtual_host;
    let live = &virtual_host.live;
    DomainInfo {
        revision: snapshot.revision(),
        domain: virtual_host.domain.clone(),
        live: live.clone(),
        previous: virtual_host.previous.clone(),
        top: (&virtual_host.top).into(),
        options: virtual_host.options.shown(),
        backends,
        in_flight: node
            .in_flight()
            .filter(|(tag, requests)| *tag == live || *requests > 0)
            .map(|(tag, requests)| TagInFlight { tag: tag.clone(), requests })
            .collect(),
        waiting: node.pause_line().map_or(0, |line| line.waiting()),
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
        options: (&backend.options).into(),
        state: backend.state.into(),
        health: node.live.health_report(),
        in_flight: node.live.in_flight(),
        requests: node.live.requests(),
        failures: node.live.failures(),
        serves: Vec::new(),
    }
}

/// The domains that the backend serves, wholly or at some paths.
pub(super) fn served_by(snapshot: &Snapshot, node: &BackendNode) -> Vec<DomainName> {
    if node.backend.state != BackendState::Ready {
        return Vec::new();
    }
    snapshot
        .domains()
        .filter(|domain| domain.virtual_host.serving().any(|tag| node.backend.tags.contains(tag)))
        .take(MOST_SERVED)
        .map(|domain| domain.virtual_host.domain.clone())
        .collect()
}

/// What needs a person.
pub(super) fn warnings(snapshot: &Snapshot) -> Vec<String> {
    const MOST: usize = 20;
    let mut warnings = Vec::new();
    let mut unserved = snapshot.domains().filter(|node| !has_server(snapshot, node));
    for node in unserved.by_ref().take(MOST) {
        let virtual_host = &node.virtual_host;
        warnings.push(format!(
            "`{}` has no backend that can serve (tag `{}`)",
            virtual_host.domain, virtual_host.live
        ));
    }
    let more = unserved.count();
    if more > 0 {
        warnings.push(format!("and {more} more domains without a backend that can serve"));
    }
    let mut unhealthy = snapshot.backends().filter(|node| is_unhealthy(node));
    for node in unhealthy.by_ref().take(MOST) {
        let reason = node.live.health_report().last_error;
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        warnings.push(format!("backend `{}` is unhealthy{reason}", node.backend.id));
    }
    let more = unhealthy.count();
    if more > 0 {
        warnings.push(format!("and {more} more unhealthy backends"));
    }
    warnings
}

/// Whether the operator wants it to serve, and it can't.
fn is_unhealthy(node: &BackendNode) -> bool {
    node.backend.state == BackendState::Ready && node.live.health() == HealthStatus::Unhealthy
}

fn has_server(snapshot: &Snapshot, node: &Arc<DomainNode>) -> bool {
    snapshot.pool(&node.virtual_host.live).is_some_and(|pool| {
        pool.ready().any(|backend| backend.live.health() != HealthStatus::Unhealthy)
    })
}
