//! The state as methods answer with it.

use std::collections::HashMap;
use std::sync::Arc;

use super::methods::backend::BackendInfo;
use super::methods::domain::{DomainInfo, PoolInfo, TagInFlight};
use super::methods::{Page, PageParams};
use crate::model::{BackendId, BackendState, DomainName, HealthStatus, Tag};
use crate::state::{BackendNode, DomainNode, Snapshot};

/// Domains that `backend.show` names at most.
const MAX_SERVED: usize = 10;

/// One page of the virtual hosts.
pub(super) fn domains(snapshot: &Snapshot, params: &PageParams<DomainName>) -> Page<DomainInfo> {
    // Many domains share a tag: its backends are counted once a page.
    let mut pools: HashMap<&Tag, PoolInfo> = HashMap::new();
    let nodes = snapshot.domains_after(params.after.as_ref());
    let (page, next) = params.take(nodes, |node| node.virtual_host.domain.clone());
    let entries = page.into_iter().map(|node| {
        let live = &node.virtual_host.live;
        served(snapshot, node, *pools.entry(live).or_insert_with(|| pool(snapshot, live)))
    });
    let entries = entries.collect();
    Page { revision: snapshot.revision(), entries, next }
}

/// One page of the backends, without the domains they serve.
pub(super) fn backends(snapshot: &Snapshot, params: &PageParams<BackendId>) -> Page<BackendInfo> {
    let nodes = snapshot.backends_after(params.after.as_ref());
    let (page, next) = params.take(nodes, |node| node.backend.id.clone());
    let entries = page.into_iter().map(|node| backend(snapshot, node)).collect();
    Page { revision: snapshot.revision(), entries, next }
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
        aliases: virtual_host.aliases.clone(),
        live: live.clone(),
        previous: virtual_host.previous.clone(),
        http_to_https: virtual_host.http_to_https,
        balance: virtual_host.balance.clone().into(),
        tls: virtual_host.tls.clone().into(),
        hsts_max_age_secs: virtual_host.hsts_max_age_secs,
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
        weight: backend.weight,
        scheme: backend.scheme.into(),
        tls_server_name: backend.tls.server_name.clone(),
        tls_ca_file: backend.tls.ca_file.clone(),
        tls_client_cert_file: backend.tls.client_cert_file.clone(),
        tls_client_key_file: backend.tls.client_key_file.clone(),
        tls_insecure_skip_verify: backend.tls.insecure_skip_verify,
        state: backend.state.into(),
        backup: backend.backup,
        send_proxy_protocol: backend.send_proxy_protocol.into(),
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
        .take(MAX_SERVED)
        .map(|domain| domain.virtual_host.domain.clone())
        .collect()
}

/// What needs a person.
pub(super) fn warnings(snapshot: &Snapshot) -> Vec<String> {
    const MAX_WARNINGS: usize = 20;
    let mut warnings = Vec::new();
    let mut unserved = snapshot.domains().filter(|node| !has_server(snapshot, node));
    for node in unserved.by_ref().take(MAX_WARNINGS) {
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
    for node in unhealthy.by_ref().take(MAX_WARNINGS) {
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
