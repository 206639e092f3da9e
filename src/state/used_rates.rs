//! What clients have used of rate limits, handed to a successor: those that have used most, up to a bound.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::Snapshot;
use super::rate_store::nanos;
use crate::model::{UsedRate, UsedRates};

/// The most clients of all domains that are handed on. What others have used is little.
const MAX_CLIENTS: usize = 50_000;

/// What a client has used at a domain.
struct UsedByClient {
    /// The place of the domain.
    domain: usize,
    client: u128,
    full_in: Duration,
    /// Of all that it may have, in millionths.
    share: u128,
}

/// What was used of the rate limits of all domains.
pub(crate) fn used_rates(snapshot: &Snapshot) -> Vec<UsedRates> {
    let mut used = Vec::new();
    let mut clients = Vec::new();
    for node in snapshot.domains() {
        let Some(rates) = node.rates() else { continue };
        let domain = used.len();
        rates.each_client(|client, full_in, full| {
            let share = full_in.as_nanos() * 1_000_000 / full.as_nanos().max(1);
            clients.push(UsedByClient { domain, client, full_in, share });
            if clients.len() >= 2 * MAX_CLIENTS {
                keep_most_used(&mut clients);
            }
        });
        let client = rates
            .client_limit()
            .map(|limit| UsedRate { limit: limit.clone(), full_in_ns: Vec::new() });
        used.push(UsedRates {
            domain: node.virtual_host.domain.clone(),
            all: rates.used_by_all(),
            client,
        });
    }
    keep_most_used(&mut clients);
    for UsedByClient { domain, client, full_in, .. } in clients {
        if let Some(of) = &mut used[domain].client {
            of.full_in_ns.push((Ipv6Addr::from_bits(client), nanos(full_in)));
        }
    }
    used.retain(|of| of.all.iter().chain(&of.client).any(|used| !used.full_in_ns.is_empty()));
    used
}

/// Goes on with what was used before this process, where the limits are the same.
pub(crate) fn resume_rates(snapshot: &Snapshot, used: &[UsedRates]) {
    for of in used {
        if let Some(rates) = snapshot.domain(&of.domain).and_then(|node| node.rates()) {
            rates.resume(of);
        }
    }
}

fn keep_most_used(clients: &mut Vec<UsedByClient>) {
    if clients.len() > MAX_CLIENTS {
        clients.select_nth_unstable_by(MAX_CLIENTS, |one, other| other.share.cmp(&one.share));
        clients.truncate(MAX_CLIENTS);
    }
}
