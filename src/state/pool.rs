//! All backends that carry one tag, in the order in which they are asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{BackendNode, Queue};
use crate::model::{BackendId, BackendState, HealthStatus, PoolName, RequestLimit};

/// Above this many turns a pool's weights are scaled down, so that it stays small.
const LONGEST_ROUND: usize = 4096;

/// Where a backend stands when a request of its pool is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is asked in its turn.
    Fit,
    /// Nothing is known of it: it is asked while no other is fit.
    Fallback,
    /// It is unhealthy.
    Unhealthy,
    /// It takes no new requests.
    Out,
}

impl BackendNode {
    /// Where it stands now.
    pub fn standing(&self) -> Standing {
        match self.live.health() {
            HealthStatus::Unhealthy => Standing::Unhealthy,
            _ if !self.live.is_admitting() => Standing::Out,
            HealthStatus::Healthy => Standing::Fit,
            // Its files can't be used: no probe needs to say so first.
            HealthStatus::Unknown if self.tls().is_err() => Standing::Unhealthy,
            HealthStatus::Unknown => Standing::Fallback,
        }
    }
}

/// The backends of one tag. Derived from the backends, never stored.
#[derive(Debug)]
pub struct Pool {
    name: PoolName,
    /// By their ids.
    backends: Vec<Arc<BackendNode>>,
    /// One round of weighted turns: indices into `backends`, those of *ready* ones only.
    round: Vec<u32>,
    /// The same of those that serve while no other is fit.
    backup_round: Vec<u32>,
    turn: Arc<AtomicUsize>,
    queue: Arc<Queue>,
    has_limits: bool,
}

impl Pool {
    pub(super) fn new(
        name: PoolName,
        backends: Vec<Arc<BackendNode>>,
        turn: Arc<AtomicUsize>,
        queue: Arc<Queue>,
    ) -> Self {
        let round = weighted_round(&backends, false);
        let backup_round = weighted_round(&backends, true);
        let has_limits =
            backends.iter().any(|node| node.max_requests().and_then(RequestLimit::get).is_some());
        Self { name, backends, round, backup_round, turn, queue, has_limits }
    }

    /// The tag that its backends carry, and their app.
    pub fn name(&self) -> &PoolName {
        &self.name
    }

    /// Every backend that carries the tag, ready or not.
    pub fn backends(&self) -> &[Arc<BackendNode>] {
        &self.backends
    }

    /// The backend of that id.
    pub fn find(&self, id: &BackendId) -> Option<&Arc<BackendNode>> {
        let place = self.backends.binary_search_by(|node| node.backend.id.cmp(id)).ok()?;
        Some(&self.backends[place])
    }

    /// The backends that the operator wants to take traffic.
    pub fn ready(&self) -> impl Iterator<Item = &Arc<BackendNode>> {
        self.backends.iter().filter(|node| node.backend.state == BackendState::Ready)
    }

    /// The ready backends, each as often as its weight says, from the next turn on. `backup` are those
    /// that serve while no other is fit.
    pub fn next_round(&self, backup: bool) -> impl Iterator<Item = &Arc<BackendNode>> {
        self.round_from(self.turn.fetch_add(1, Ordering::Relaxed), backup)
    }

    /// The same from a turn at random.
    pub fn random_round(&self, backup: bool) -> impl Iterator<Item = &Arc<BackendNode>> {
        self.round_from(fastrand::usize(..), backup)
    }

    fn round_from(&self, turn: usize, backup: bool) -> impl Iterator<Item = &Arc<BackendNode>> {
        let round = if backup { &self.backup_round } else { &self.round };
        let start = turn.checked_rem(round.len()).unwrap_or(0);
        let (before, after) = round.split_at(start);
        after.iter().chain(before).map(|index| &self.backends[*index as usize])
    }

    /// Whether any backend serves only while no other is fit.
    pub fn has_backups(&self) -> bool {
        !self.backup_round.is_empty()
    }

    /// Whether any backend has a limit of its own for requests at once.
    pub fn has_limits(&self) -> bool {
        self.has_limits
    }

    /// The requests that wait for one of them to have room.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub(super) fn turn(&self) -> &Arc<AtomicUsize> {
        &self.turn
    }
}

/// Smooth weighted round robin, unrolled: in each turn every backend gains its weight, the one that
/// has most is asked and pays the total. Heavy backends are spread over the round, not bunched.
fn weighted_round(backends: &[Arc<BackendNode>], backup: bool) -> Vec<u32> {
    let mut weights: Vec<(u32, i64)> = (0u32..)
        .zip(backends)
        .filter(|(_, node)| node.backend.state == BackendState::Ready)
        .filter(|(_, node)| node.backend.options.backup == backup)
        .map(|(index, node)| (index, i64::from(node.backend.options.weight.get())))
        .collect();
    let divisor = weights.iter().fold(0, |acc, (_, weight)| greatest_common_divisor(acc, *weight));
    let total: i64 = weights.iter().map(|(_, weight)| weight / divisor.max(1)).sum();
    if total == i64::try_from(weights.len()).unwrap_or(i64::MAX) {
        return weights.into_iter().map(|(index, _)| index).collect();
    }
    let room = i64::try_from(LONGEST_ROUND.max(weights.len())).unwrap_or(i64::MAX);
    for (_, weight) in &mut weights {
        *weight /= divisor;
        if total > room {
            *weight = (*weight * room / total).max(1);
        }
    }
    let total: i64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut credit = vec![0; weights.len()];
    (0..total)
        .map(|_| {
            for (credit, (_, weight)) in credit.iter_mut().zip(&weights) {
                *credit += weight;
            }
            // The first of the richest, so that equal weights keep their order.
            let chosen = (0..credit.len()).rev().max_by_key(|i| credit[*i]).unwrap_or(0);
            credit[chosen] -= total;
            weights[chosen].0
        })
        .collect()
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, Weight};

    fn pool(weights: &[u64]) -> Pool {
        let nodes = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| {
                Arc::new(BackendNode::new(
                    Backend {
                        id: format!("b{index}").parse().unwrap(),
                        address: "127.0.0.1:1".parse().unwrap(),
                        tags: ["a".parse().unwrap()].into(),
                        options: crate::model::BackendOptions {
                            weight: Weight::try_from(*weight).unwrap(),
                            ..Default::default()
                        },
                        state: BackendState::Ready,
                    },
                    None,
                    &crate::tls::PeerFiles::default(),
                ))
            })
            .collect();
        let name = PoolName { app: None, tag: "a".parse().unwrap() };
        Pool::new(name, nodes, Arc::default(), Arc::default())
    }

    fn turns(pool: &Pool, count: usize) -> Vec<String> {
        (0..count)
            .map(|_| pool.next_round(false).next().expect("ready").backend.id.to_string())
            .collect()
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(turns(&pool(&[7, 7, 7]), 6), ["b0", "b1", "b2", "b0", "b1", "b2"]);
    }

    #[test]
    fn weights_are_kept_and_spread() {
        assert_eq!(turns(&pool(&[50, 10, 10]), 7), ["b0", "b0", "b1", "b0", "b2", "b0", "b0"]);
    }

    #[test]
    fn a_round_never_grows_past_its_bound() {
        let pool = pool(&[1000, 999, 997, 1, 991, 983]);
        assert!(pool.round.len() <= LONGEST_ROUND + 6, "{}", pool.round.len());
        for index in 0..6 {
            assert!(pool.round.contains(&index), "every backend has a turn");
        }
    }

    #[test]
    fn a_pool_without_ready_backends_has_no_turns() {
        let pool = pool(&[]);
        assert!(pool.next_round(false).next().is_none());
        assert!(pool.random_round(false).next().is_none());
    }
}
