//! Requests that each new backend must answer as expected, through all that a client's request goes through.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::error::CheckError;
use super::subject::Checks;
use crate::model::{
    BackendId, DomainName, HealthStatus, Pattern, SmokeFailure, SmokeRequest, SmokeRequests,
    VirtualHost,
};
use crate::state::{Reader, stage};

/// Makes requests, and says of each what is wrong with its answer, if anything is. Given by the server, so that control
/// need not know how requests are carried.
pub(crate) type SmokeNow = Arc<dyn Fn(SmokeTry) -> Answering + Send + Sync>;

type Answering = Pin<Box<dyn Future<Output = Vec<Option<String>>> + Send>>;

/// Requests that are made one after the other.
pub(crate) struct SmokeTry {
    /// The state that they go by, in which one backend alone is on the new tag.
    pub stage: Reader,
    /// The requests with their hosts.
    pub requests: Vec<(DomainName, SmokeRequest)>,
    /// When all must have been answered.
    pub deadline: Instant,
}

/// The most backends that are tried at once.
const MAX_AT_ONCE: usize = 4;

/// Tries each backend that would serve: all that are ready and not known to be unhealthy. `progress` is given how many requests were answered as expected, how many were
/// not, and how many there are.
pub(super) async fn try_all(
    checks: &Checks<'_>,
    requests: &SmokeRequests,
    proven: &BTreeSet<BackendId>,
    smoke: &SmokeNow,
    progress: impl Fn(usize, usize, usize) + Send + Sync,
) -> Result<(), CheckError> {
    let all = tries(checks, requests, proven)?;
    let total = all.iter().map(|(_, of)| of.requests.len()).sum();
    let (mut passed, mut failures) = (0, Vec::new());
    progress(0, 0, total);
    let answered = all.into_iter().map(|(backend, of)| async {
        let named: Vec<_> =
            of.requests.iter().map(|(host, request)| (host.clone(), request.named())).collect();
        (backend, named, smoke(of).await)
    });
    let mut answered = stream::iter(answered).buffered(MAX_AT_ONCE);
    while let Some((backend, named, faults)) = answered.next().await {
        for ((host, request), fault) in named.into_iter().zip(faults) {
            match fault {
                None => passed += 1,
                Some(fault) => {
                    let backend = backend.clone();
                    failures.push(SmokeFailure { backend, host, request, fault });
                }
            }
        }
        progress(passed, failures.len(), total);
    }
    if failures.is_empty() { Ok(()) } else { Err(CheckError::Smoke { failures, total }) }
}

/// Finds what can't be tried, before anything is probed.
pub(super) fn check(checks: &Checks<'_>, requests: &SmokeRequests) -> Result<(), CheckError> {
    let joining = checks.joining();
    for request in requests.iter() {
        let Some(host) = &request.host else { continue };
        let node = checks.after.route(&host.to_string());
        if !node.is_some_and(|node| joining.contains_key(&node.virtual_host.domain)) {
            let (host, request) = (host.clone(), request.named());
            return Err(CheckError::SmokeElsewhere { host, request });
        }
    }
    for domain in joining.keys() {
        if let Some(node) = checks.after.domain(domain) {
            of_host(checks, requests, &node.virtual_host)?;
        }
    }
    Ok(())
}

/// Each backend with what it is tried with, for each domain.
fn tries(
    checks: &Checks<'_>,
    requests: &SmokeRequests,
    proven: &BTreeSet<BackendId>,
) -> Result<Vec<(BackendId, SmokeTry)>, CheckError> {
    let mut tries = Vec::new();
    for (domain, tag) in checks.joining() {
        let Some(node) = checks.after.domain(domain) else { continue };
        let host = &node.virtual_host;
        let requests = of_host(checks, requests, host)?;
        if requests.is_empty() {
            continue;
        }
        let pool = checks.after.pool(&host.pool(tag));
        for node in pool.into_iter().flat_map(|pool| pool.ready()) {
            let id = &node.backend.id;
            // The gate has waited for as many as it needs: the others may serve too.
            if proven.contains(id) || node.live.health() != HealthStatus::Unhealthy {
                let stage = stage(checks.live, checks.after, host, tag, node);
                let (requests, deadline) = (requests.clone(), checks.deadline);
                tries.push((id.clone(), SmokeTry { stage, requests, deadline }));
            }
        }
    }
    Ok(tries)
}

/// The requests that are for a domain, each with the host that it names.
fn of_host(
    checks: &Checks<'_>,
    requests: &SmokeRequests,
    host: &VirtualHost,
) -> Result<Vec<(DomainName, SmokeRequest)>, CheckError> {
    let mut own = Vec::new();
    for request in requests.iter() {
        let name = match &request.host {
            Some(given) => {
                let node = checks.after.route(&given.to_string());
                if node.is_none_or(|node| node.virtual_host.domain != host.domain) {
                    continue;
                }
                given
            }
            // Under another name it would be redirected.
            None => host.options.get().canonical_host.as_ref().unwrap_or(&host.domain),
        };
        if !matches!(name.pattern(), Pattern::Exact(_)) {
            let (domain, request) = (name.clone(), request.named());
            return Err(CheckError::SmokeHost { domain, request });
        }
        own.push((name.clone(), request.clone()));
    }
    Ok(own)
}
