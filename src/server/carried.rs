//! What goes over to a successor besides sockets and the state: gathered at one end of an upgrade, and taken up at the other.

use crate::model::{Carried, ObservedBackend};
use crate::state::{Snapshot, resume_rates, used_rates};
use crate::stats::Stats;
use crate::tls::Tickets;

/// What this process has for a successor.
pub(super) fn gather(snapshot: &Snapshot, stats: &Stats, tickets: &Tickets) -> Carried {
    let backends = snapshot.backends().map(|node| {
        let (failures, reason) = node.live.passive_row();
        ObservedBackend {
            id: node.backend.id.clone(),
            address: node.backend.address.clone(),
            health: node.live.health_report(),
            failures,
            reason,
        }
    });
    Carried {
        backends: backends.collect(),
        tickets: Some(tickets.secrets()),
        rates: used_rates(snapshot),
        traffic: Some(stats.last_minute(snapshot)),
    }
}

/// Takes up what the server before had, as far as it is about what is still the same. Before backends are watched:
/// their health goes on from it.
pub(super) fn resume(carried: &Carried, snapshot: &Snapshot, tickets: &Tickets) {
    for of in &carried.backends {
        let node = snapshot.backend(&of.id);
        if let Some(node) = node.filter(|node| node.backend.address == of.address) {
            node.live.set_health_report(of.health.clone());
            node.live.resume_passive_row(of.failures, &of.reason);
        }
    }
    resume_rates(snapshot, &carried.rates);
    if let Some(secrets) = &carried.tickets {
        tickets.resume(secrets);
    }
}
