//! Chooses a backend of a pool.

use std::sync::Arc;

use super::hash::by_hash;
use super::terms::{Choice, Chosen, Terms};
use crate::model::{BackendId, Balance};
use crate::state::{BackendNode, NotAdmitted, Pool, Standing};

/// Chooses a healthy backend that has not been tried; a backup only while no other is healthy; one of
/// unknown health only while no backup is either.
pub(crate) fn choose(pool: &Pool, terms: &Terms<'_>) -> Choice {
    let preferred = match terms.balance {
        Balance::RoundRobin => None,
        Balance::LeastConnections => better_of_two(pool, terms, load),
        Balance::LeastLatency => better_of_two(pool, terms, wait),
        Balance::HashClient | Balance::HashHeader(_) | Balance::HashCookie(_) => {
            terms.key.and_then(|key| by_hash(pool, terms, key, false))
        }
    };
    if let Some(node) = preferred
        && let Ok(chosen) = Chosen::admit(node, terms.most)
    {
        return Choice::Chosen(chosen);
    }
    let (choice, unknown) = next_in_turn(pool, terms, false);
    if !matches!(choice, Choice::None) {
        return choice;
    }
    let mut unknown_backup = None;
    if pool.has_backups() {
        if let Some(key) = terms.key
            && let Some(node) = by_hash(pool, terms, key, true)
            && let Ok(chosen) = Chosen::admit(node, terms.most)
        {
            return Choice::Chosen(chosen);
        }
        let (choice, unknown) = next_in_turn(pool, terms, true);
        if !matches!(choice, Choice::None) {
            return choice;
        }
        unknown_backup = unknown;
    }
    let mut is_busy = false;
    for node in [unknown, unknown_backup].into_iter().flatten() {
        match Chosen::admit(node, terms.most) {
            Ok(chosen) => return Choice::Chosen(chosen),
            Err(NotAdmitted::Busy) => is_busy = true,
            Err(NotAdmitted::Out) => {}
        }
    }
    if is_busy { Choice::Busy } else { Choice::None }
}

/// The backend that a client had before, while it can take requests.
pub(crate) fn stay(pool: &Pool, id: &BackendId, terms: &Terms<'_>) -> Option<Chosen> {
    let node = pool.find(id)?;
    let can_serve = matches!(node.standing(), Standing::Fit | Standing::Fallback);
    (can_serve && terms.is_fresh(node)).then(|| Chosen::admit(node, terms.most).ok()).flatten()
}

/// The first healthy one from the next turn on, and the first of which nothing is known.
fn next_in_turn<'p>(
    pool: &'p Pool,
    terms: &Terms<'_>,
    backup: bool,
) -> (Choice, Option<&'p Arc<BackendNode>>) {
    let (mut unknown, mut growing, mut is_busy) = (None, None, false);
    for node in pool.next_round(backup).filter(|node| terms.is_fresh(node)) {
        match node.standing() {
            Standing::Fit if !terms.has_grown(node) => growing = growing.or(Some(node)),
            Standing::Fit => match Chosen::admit(node, terms.most) {
                Ok(chosen) => return (Choice::Chosen(chosen), None),
                Err(NotAdmitted::Busy) => is_busy = true,
                Err(NotAdmitted::Out) => {}
            },
            Standing::Fallback => unknown = unknown.or(Some(node)),
            Standing::Unhealthy | Standing::Out => {}
        }
    }
    // Nobody else takes it, so its share is all.
    match growing.map(|node| Chosen::admit(node, terms.most)) {
        Some(Ok(chosen)) => return (Choice::Chosen(chosen), None),
        Some(Err(NotAdmitted::Busy)) => is_busy = true,
        Some(Err(NotAdmitted::Out)) | None => {}
    }
    (if is_busy { Choice::Busy } else { Choice::None }, unknown)
}

/// The power of two choices: of two healthy backends at random, the one that has less of `burden` for
/// its weight. `None` when none is healthy.
fn better_of_two<'p>(
    pool: &'p Pool,
    terms: &Terms<'_>,
    burden: fn(&BackendNode) -> f64,
) -> Option<&'p Arc<BackendNode>> {
    let fit = |node: &&Arc<BackendNode>| terms.takes(node);
    let one = pool.random_round(false).find(fit)?;
    let other = pool.random_round(false).filter(|node| !Arc::ptr_eq(node, one)).find(fit);
    let Some(other) = other else { return Some(one) };
    let burden = |node: &BackendNode| burden(node) / f64::from(node.backend.options.weight.get());
    Some(if burden(one) <= burden(other) { one } else { other })
}

/// The requests that run there.
#[expect(clippy::cast_precision_loss, reason = "nobody has that many requests")]
fn load(node: &BackendNode) -> f64 {
    node.live.in_flight() as f64
}

/// How long a further request would wait: the mean time to an answer, for each that runs there and for
/// itself.
fn wait(node: &BackendNode) -> f64 {
    // A backend of which nothing is known, or nothing any more, is asked before others.
    node.live.pace().mean_micros() * (load(node) + 1.0)
}

#[cfg(test)]
mod tests;
