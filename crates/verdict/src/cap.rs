//! How much each client network counts, so that no single one decides.
//!
//! 1. *The limit* of a version is the share that one network may have. With S the effective number
//!    of the networks beside the largest, (sum n)^2 / sum n^2 of their requests, it is
//!    1 / (1 + S / 2): a tenth from 18 on, more where there are fewer, a half at most. The largest
//!    is left out, so that who floods doesn't move it.
//! 2. *Requests.* Each network is weighed, from 0 to 1 and the same in both versions, so that none
//!    makes more than the limit of the new version's weighed requests. The old version's are weighed
//!    the same way first. Weights follow from requests alone, not from what became of them.
//! 3. *Failures, and slow requests.* Those of each network are cut so that none makes more than the
//!    limit of what is left of the new version's. The old version's of that network are cut in the
//!    same proportion: a client who fails with every version is not held against either.
//! 4. *Clients, not requests.* Where the failures of a network come together, they are fewer pieces
//!    of evidence than they are requests. The variance of the difference, taken over networks,
//!    against what independent requests would have says how many make one (the design effect of
//!    cluster sampling); the evidence is divided by it.
//! 5. *Without any one* (in [`super::judge`]). A regression has to be proven by what is left as well
//!    when any one network is taken away, all steps from the start.
//!
//! What this guarantees: no single network rolls a version back, whatever it sends to whichever
//! version, since what the others did has to prove it too. A network that alone makes the failures
//! of the new version has none of them counted. Of the failures and the requests that count, no
//! network makes more than the limit. At least ten networks have to fail where 18 others ask, two
//! where few do.
//!
//! The exception is a *sole client*: a network that makes at least 95 % of the requests of *both*
//! versions: a load balancer in front, or the one caller of an internal service. Then no cap would
//! leave anything. Its requests count as they are, and nobody else's do: not those of a monitor,
//! nor of an attacker beside it. A client cannot become one by flooding the new version only; and
//! who floods both fails with both.
//!
//! The risk of the test is proven for weights that don't depend on outcomes. Those of steps 3 and 4
//! do: that the risk stays below its bound with them is simulated.
//!
//! What it doesn't do: a network that makes the old version fail, and not the new one, can hide that
//! the new one is worse. That keeps a version, it never rolls one back.

use super::counts::{Counts, Pair, Share, real};

/// The most that one network may ever have where it isn't the sole client.
const LARGEST_LIMIT: f64 = 0.5;

/// What one network may have where enough others ask.
const SMALLEST_LIMIT: f64 = 0.1;

/// The share of the requests of both versions from which a network is the sole client.
const SOLE_CLIENT: f64 = 0.95;

/// Equal networks are at the limit, not above it, by rounding.
const ROUNDING: f64 = 1.0 + 1e-9;

/// The requests of one client network.
pub type Network = Pair<Counts>;

/// Failures, or slow requests, of both versions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limited {
    /// After the first four steps: what may be held against the new version.
    pub limited: Pair<Share>,
    /// Without the third step: nothing is cut for the outcome. What may be held in its favour.
    pub whole: Pair<Share>,
}

/// All requests of both versions.
#[derive(Debug, Clone, Copy)]
pub struct Traffic<'a> {
    pub networks: &'a [Network],
    /// What came from networks that nobody counts one by one. There must be so many of them that
    /// none matters: keep the busiest apart.
    pub rest: Network,
    /// There is a threshold to be slower than.
    pub counts_slow: bool,
}

/// What may be concluded from.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// Only what one network did counts.
    pub sole_client: bool,
    /// Weighed requests.
    pub requests: Pair<f64>,
    pub failures: Limited,
    /// `None` without a threshold.
    pub slow: Option<Limited>,
}

pub fn capped(traffic: &Traffic) -> Evidence {
    let Traffic { networks, rest, counts_slow } = traffic;
    if let Some(sole) = sole_client(networks, rest) {
        return of_sole_client(sole, *counts_slow);
    }
    let weights = weights(networks, rest);
    let requests = networks.iter().zip(&weights.each).fold(
        rest.map(|counts| real(counts.requests)),
        |sum, (network, weight)| Pair {
            old: sum.old + real(network.old.requests) * weight,
            new: sum.new + real(network.new.requests) * weight,
        },
    );
    let of = |hits: fn(&Counts) -> u64| {
        let shares: Vec<Pair<Share>> = networks
            .iter()
            .zip(&weights.each)
            .map(|(network, weight)| share_of(network, hits).map(|share| share.scaled(*weight)))
            .collect();
        limited(&shares, share_of(rest, hits), weights.limit)
    };
    Evidence {
        sole_client: false,
        requests,
        failures: of(|counts| counts.failures),
        slow: counts_slow.then(|| of(|counts| counts.slow)),
    }
}

fn sole_client<'a>(networks: &'a [Network], rest: &Network) -> Option<&'a Network> {
    let all = networks.iter().fold(rest.map(|counts| real(counts.requests)), |sum, network| Pair {
        old: sum.old + real(network.old.requests),
        new: sum.new + real(network.new.requests),
    });
    let is_most = |one: Counts, all: f64| real(one.requests) >= all * SOLE_CLIENT;
    networks.iter().find(|network| {
        network.new.requests > 0 && is_most(network.old, all.old) && is_most(network.new, all.new)
    })
}

fn of_sole_client(sole: &Network, counts_slow: bool) -> Evidence {
    let of = |hits: fn(&Counts) -> u64| {
        let whole = share_of(sole, hits);
        Limited { limited: whole, whole }
    };
    Evidence {
        sole_client: true,
        requests: sole.map(|counts| real(counts.requests)),
        failures: of(|counts| counts.failures),
        slow: counts_slow.then(|| of(|counts| counts.slow)),
    }
}

fn share_of(network: &Network, hits: fn(&Counts) -> u64) -> Pair<Share> {
    network.map(|counts| Share::of_counts(hits(&counts), counts.requests))
}

struct Weights {
    each: Vec<f64>,
    /// What one network may have of the new version.
    limit: f64,
}

fn weights(networks: &[Network], rest: &Network) -> Weights {
    let requests: Vec<Pair<f64>> =
        networks.iter().map(|network| network.map(|counts| real(counts.requests))).collect();
    let rest = rest.map(|counts| real(counts.requests));
    let column = |pick: fn(&Pair<f64>) -> f64| -> Vec<f64> { requests.iter().map(pick).collect() };
    let (old, new) = (column(|pair| pair.old), column(|pair| pair.new));
    let old_ceiling = ceiling(&old, rest.old, limit(&old, rest.old));
    let weight = |requests: f64, ceiling: f64| {
        if requests > ceiling { ceiling / requests } else { 1.0 }
    };
    let first: Vec<f64> = old.iter().map(|requests| weight(*requests, old_ceiling)).collect();
    let new_limit = limit(&new, rest.new);
    let weighed: Vec<f64> = new.iter().zip(&first).map(|(requests, by)| requests * by).collect();
    let new_ceiling = ceiling(&weighed, rest.new, new_limit);
    let each = first.iter().zip(&weighed).map(|(by, requests)| by * weight(*requests, new_ceiling));
    Weights { each: each.collect(), limit: new_limit }
}

/// The share that one network may have of all; each request of the `rest` is a network.
fn limit(requests: &[f64], rest: f64) -> f64 {
    let largest = requests.iter().copied().fold(0.0, f64::max);
    let sum = requests.iter().sum::<f64>() + rest - largest;
    let squares = requests.iter().map(|n| n * n).sum::<f64>() + rest - largest * largest;
    let others = if squares > 0.0 { sum * sum / squares } else { 0.0 };
    (1.0 + others / 2.0).recip().clamp(SMALLEST_LIMIT, LARGEST_LIMIT)
}

/// The highest value to cut all `counts` to so that none is more than `limit` of their sum with
/// `rest`, which is not cut: 0 where too few are above 0.
fn ceiling(counts: &[f64], rest: f64, limit: f64) -> f64 {
    let mut falling: Vec<f64> = counts.to_vec();
    falling.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut below = falling.iter().sum::<f64>() + rest;
    let mut left = 1.0;
    for next in falling {
        // With all larger ones cut to it, each is exactly `limit` of the sum.
        let ceiling = limit * below.max(0.0) / left;
        if next <= ceiling * ROUNDING {
            return ceiling * ROUNDING;
        }
        below -= next;
        left -= limit;
        if left < limit * 1e-6 {
            return 0.0;
        }
    }
    limit * rest / left
}

/// Steps three and four. `limit` is that of the new version.
fn limited(networks: &[Pair<Share>], rest: Pair<Share>, limit: f64) -> Limited {
    let hits: Vec<f64> = networks.iter().map(|network| network.new.hits).collect();
    let ceiling = ceiling(&hits, rest.new.hits, limit);
    let cut: Vec<Pair<Share>> = networks
        .iter()
        .map(|network| {
            let hits = network.new.hits;
            let by = if hits > ceiling { ceiling / hits } else { 1.0 };
            network.map(|share| Share { hits: share.hits * by, ..share })
        })
        .collect();
    Limited { limited: by_clients(&cut, rest), whole: by_clients(networks, rest) }
}

/// The sum, scaled down to as many independent requests as it is worth.
fn by_clients(networks: &[Pair<Share>], rest: Pair<Share>) -> Pair<Share> {
    let all = sum(networks, rest);
    let independent = all.old.variance() + all.new.variance();
    let residual = |share: Share, all: Share| {
        if all.of > 0.0 { (share.hits - all.estimate() * share.of) / all.of } else { 0.0 }
    };
    let portion = |rest: Share, all: Share| {
        if all.of > 0.0 { all.variance() * rest.of / all.of } else { 0.0 }
    };
    let clustered = networks
        .iter()
        .map(|network| residual(network.new, all.new) - residual(network.old, all.old))
        .fold(portion(rest.old, all.old) + portion(rest.new, all.new), |sum, one| sum + one * one);
    // Never as if there were more requests than there are.
    if clustered > independent && independent > 0.0 {
        all.map(|share| share.scaled(independent / clustered))
    } else {
        all
    }
}

fn sum(networks: &[Pair<Share>], rest: Pair<Share>) -> Pair<Share> {
    let add = |a: Share, b: Share| Share { hits: a.hits + b.hits, of: a.of + b.of };
    networks.iter().fold(rest, |sum, network| Pair {
        old: add(sum.old, network.old),
        new: add(sum.new, network.new),
    })
}

#[cfg(test)]
mod tests;
