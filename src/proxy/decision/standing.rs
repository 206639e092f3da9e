//! Which virtual host answers, and which of its backends could.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::clock::whole_millis;
use crate::model::{
    BackendStanding, BackendState, DomainName, Match, MatchedBy, Pattern, Reason, Unfit,
    UpstreamFailure,
};
use crate::state::{BackendNode, DomainNode, Pool, Standing};

pub(super) fn matched(node: &DomainNode, by: MatchedBy, host: &str) -> Match {
    let virtual_host = &node.virtual_host;
    let fits = |name: &&DomainName| match (by, name.pattern()) {
        (MatchedBy::Exact, Pattern::Exact(name)) => **name == *host,
        (MatchedBy::Wildcard, Pattern::Wildcard(base)) => {
            host.split_once('.').is_some_and(|(_, rest)| *rest == **base)
        }
        (MatchedBy::Default, Pattern::Default) => true,
        _ => false,
    };
    let name = virtual_host.names().find(fits).unwrap_or(&virtual_host.domain).clone();
    let domain = virtual_host.domain.clone();
    let unicode = domain.unicode();
    Match { alias: name != domain, name, unicode, domain, by }
}

/// `most` requests may run at once on a backend that has no limit of its own.
pub(super) fn standings(pool: &Pool, most: Option<NonZeroUsize>) -> Vec<BackendStanding> {
    let is_fit = |node: &&Arc<BackendNode>| node.standing() == Standing::Fit;
    let mut fit = pool.backends().iter().filter(is_fit);
    let any_fit = fit.clone().next().is_some();
    let others_fit = fit.any(|node| !node.backend.options.backup);
    let standings = pool.backends().iter().map(|node| BackendStanding {
        max_requests: node.live.max_requests(most).map(NonZeroUsize::get),
        ..standing(node, any_fit, others_fit)
    });
    standings.collect()
}

fn standing(node: &BackendNode, any_fit: bool, others_fit: bool) -> BackendStanding {
    let (backend, live) = (&node.backend, &node.live);
    let unfit = match (backend.state, node.standing()) {
        (BackendState::Disabled, _) => Some(Unfit::Disabled),
        // Ready and out: it has just begun to drain, in a newer snapshot.
        (BackendState::Draining, _) | (BackendState::Ready, Standing::Out) => Some(Unfit::Draining),
        (BackendState::Ready, Standing::Unhealthy) => Some(Unfit::Unhealthy),
        (BackendState::Ready, Standing::Fallback) if any_fit => Some(Unfit::Unknown),
        (BackendState::Ready, Standing::Fit) if backend.options.backup && others_fit => {
            Some(Unfit::Backup)
        }
        (BackendState::Ready, Standing::Fit | Standing::Fallback) => {
            live.endpoints().is_empty().then_some(Unfit::Unresolved)
        }
    };
    BackendStanding {
        id: backend.id.clone(),
        address: backend.address.clone(),
        resolved: live.endpoints().texts(),
        scheme: backend.options.scheme,
        weight: backend.options.weight,
        connect_ms: node.connect_timeout().map(whole_millis),
        state: backend.state,
        health: live.health_report(),
        in_flight: live.in_flight(),
        max_requests: None,
        unfit,
    }
}

/// What a client gets where none of the backends can be asked.
pub(super) fn unserved(backends: &[BackendStanding]) -> Option<Reason> {
    if backends.iter().any(|backend| backend.unfit.is_none()) {
        return None;
    }
    // One of them would be chosen, and there is no address to connect to.
    let is_unresolved = |backend: &BackendStanding| backend.unfit == Some(Unfit::Unresolved);
    Some(if backends.iter().any(is_unresolved) {
        Reason::Upstream(UpstreamFailure::ConnectFailed)
    } else {
        Reason::NoBackend
    })
}
