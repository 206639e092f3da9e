//! Chooses a backend of a pool.

use std::sync::Arc;

use crate::model::{BackendId, Balance};
use crate::state::{BackendNode, InFlightGuard, Pool, Standing};

/// A backend that was chosen, with the request counted in flight there.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) node: Arc<BackendNode>,
    /// Held for as long as the request uses the backend.
    pub(super) _in_flight: InFlightGuard,
}

impl Chosen {
    /// Counts the request in, unless the backend takes none any more.
    pub(super) fn admit(node: &Arc<BackendNode>) -> Option<Self> {
        let in_flight = node.live.admit()?;
        Some(Self { node: Arc::clone(node), _in_flight: in_flight })
    }
}

/// Chooses a healthy backend that has not been tried; one of unknown health only while there is no
/// healthy one.
pub(super) fn choose(pool: &Pool, balance: Balance, tried: &[Arc<BackendNode>]) -> Option<Chosen> {
    let fresh = |node: &Arc<BackendNode>| !tried.iter().any(|one| Arc::ptr_eq(one, node));
    if balance == Balance::LeastConnections
        && let Some(node) = less_loaded_of_two(pool, fresh)
        && let Some(chosen) = Chosen::admit(node)
    {
        return Some(chosen);
    }
    let mut unknown = None;
    for node in pool.next_round().filter(|node| fresh(node)) {
        match node.standing() {
            Standing::Fit => {
                if let Some(chosen) = Chosen::admit(node) {
                    return Some(chosen);
                }
            }
            Standing::Fallback if unknown.is_none() => unknown = Some(node),
            Standing::Fallback | Standing::Unhealthy | Standing::Out => {}
        }
    }
    Chosen::admit(unknown?)
}

/// The backend that a client had before, while it can take requests.
pub(super) fn stay(pool: &Pool, id: &BackendId, tried: &[Arc<BackendNode>]) -> Option<Chosen> {
    let node = pool.find(id)?;
    let can_serve = matches!(node.standing(), Standing::Fit | Standing::Fallback);
    let fresh = !tried.iter().any(|one| Arc::ptr_eq(one, node));
    if can_serve && fresh { Chosen::admit(node) } else { None }
}

/// The power of two choices: of two healthy backends at random, the one with fewer requests for its
/// weight. Nothing when none is healthy.
fn less_loaded_of_two(
    pool: &Pool,
    fresh: impl Fn(&Arc<BackendNode>) -> bool,
) -> Option<&Arc<BackendNode>> {
    let fit = |node: &&Arc<BackendNode>| node.standing() == Standing::Fit && fresh(node);
    let one = pool.random_round().find(fit)?;
    let other = pool.random_round().filter(|node| !Arc::ptr_eq(node, one)).find(fit);
    let Some(other) = other else { return Some(one) };
    let load = |node: &BackendNode, by: &BackendNode| {
        node.live.in_flight() * usize::from(by.backend.weight.get())
    };
    Some(if load(one, other) <= load(other, one) { one } else { other })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendState, Change, HealthReport, HealthStatus, Scheme, Weight};
    use crate::state::Snapshot;

    fn pool_of(health: &[HealthStatus]) -> Arc<Pool> {
        let changes = (0..health.len())
            .map(|index| {
                Change::PutBackend(Backend {
                    id: format!("b{index}").parse().unwrap(),
                    address: "127.0.0.1:1".parse().unwrap(),
                    tags: ["a".parse().unwrap()].into(),
                    weight: Weight::default(),
                    scheme: Scheme::Http,
                    state: BackendState::Ready,
                })
            })
            .collect();
        let snapshot = Snapshot::default().after(changes, 1);
        let pool = Arc::clone(snapshot.pool(&"a".parse().unwrap()).unwrap());
        for (node, status) in pool.backends().iter().zip(health) {
            node.live.set_health_report(HealthReport { status: *status, ..Default::default() });
        }
        pool
    }

    fn chosen(pool: &Pool, balance: Balance, tried: &[Arc<BackendNode>]) -> Option<String> {
        choose(pool, balance, tried).map(|chosen| chosen.node.backend.id.to_string())
    }

    use HealthStatus::{Healthy, Unhealthy, Unknown};

    #[test]
    fn unknown_backends_serve_only_while_no_healthy_one_exists() {
        for balance in [Balance::RoundRobin, Balance::LeastConnections] {
            let pool = pool_of(&[Unknown, Healthy, Unhealthy]);
            for _ in 0..20 {
                assert_eq!(chosen(&pool, balance, &[]).as_deref(), Some("b1"));
            }
            let pool = pool_of(&[Unhealthy, Unknown, Unhealthy]);
            assert_eq!(chosen(&pool, balance, &[]).as_deref(), Some("b1"));
            assert_eq!(chosen(&pool_of(&[Unhealthy, Unhealthy]), balance, &[]), None);
        }
    }

    #[test]
    fn backends_of_unknown_health_take_turns_too() {
        let pool = pool_of(&[Unknown, Unknown]);
        let mut turns: Vec<_> =
            (0..4).map(|_| chosen(&pool, Balance::RoundRobin, &[]).unwrap()).collect();
        assert_eq!(turns, ["b0", "b1", "b0", "b1"]);
        turns.dedup();
        assert_eq!(turns.len(), 4);
    }

    #[test]
    fn a_tried_backend_is_not_chosen_again() {
        let pool = pool_of(&[Healthy, Healthy]);
        let tried = vec![Arc::clone(&pool.backends()[0])];
        for balance in [Balance::RoundRobin, Balance::LeastConnections] {
            for _ in 0..20 {
                assert_eq!(chosen(&pool, balance, &tried).as_deref(), Some("b1"));
            }
            assert_eq!(chosen(&pool, balance, pool.backends()), None);
        }
    }

    #[test]
    fn least_connections_prefers_the_idle_one() {
        let pool = pool_of(&[Healthy, Healthy]);
        let _busy: Vec<_> = (0..3).filter_map(|_| pool.backends()[0].live.admit()).collect();
        for _ in 0..200 {
            assert_eq!(chosen(&pool, Balance::LeastConnections, &[]).as_deref(), Some("b1"));
        }
    }
}
