//! The metrics of backends.

use super::Text;
use super::family::{
    BACKEND_HEALTHY, BACKEND_TAG, BACKEND_TRANSITIONS, UPSTREAM_DURATION, UPSTREAM_FAILURES,
    UPSTREAM_IN_FLIGHT, UPSTREAM_REQUESTS,
};
use super::totals::{Durations, float};
use crate::model::{BackendState, HealthStatus, StatusClass, UpstreamFailure};
use crate::state::Snapshot;

pub(super) fn write(snapshot: &Snapshot, text: &mut Text) {
    write_traffic(snapshot, text);
    write_health(snapshot, text);
}

fn write_traffic(snapshot: &Snapshot, text: &mut Text) {
    let counted = || {
        snapshot.backends().filter_map(|node| {
            node.live.traffic().counts().map(|counts| (node.backend.id.as_str(), counts))
        })
    };
    let requests = counted().flat_map(|(id, counts)| {
        StatusClass::ALL.map(|class| {
            UPSTREAM_REQUESTS.number([id, class.as_str()], float(counts.requests_of(class)))
        })
    });
    text.add(UPSTREAM_REQUESTS.with(requests.collect()));
    let durations = counted()
        .map(|(id, counts)| UPSTREAM_DURATION.durations([id], &Durations::of(counts.latency())));
    text.add(UPSTREAM_DURATION.with(durations.collect()));
    let in_flight = snapshot.backends().map(|node| {
        UPSTREAM_IN_FLIGHT.number([node.backend.id.as_str()], float(node.live.in_flight() as u64))
    });
    text.add(UPSTREAM_IN_FLIGHT.with(in_flight.collect()));
    // Most backends of a large server have had no request.
    let asked = snapshot.backends().filter(|node| node.live.requests() > 0);
    let failures = asked.flat_map(|node| {
        UpstreamFailure::all().map(move |reason| {
            let count = float(node.live.failures_of(reason));
            UPSTREAM_FAILURES.number([node.backend.id.as_str(), reason.as_str()], count)
        })
    });
    text.add(UPSTREAM_FAILURES.with(failures.collect()));
}

fn write_health(snapshot: &Snapshot, text: &mut Text) {
    // No series while the health is unknown: a disabled backend is never probed, and would look as
    // if it were down.
    let healthy = snapshot.backends().filter_map(|node| {
        let healthy = match node.live.health() {
            HealthStatus::Healthy => 1.0,
            HealthStatus::Unhealthy => 0.0,
            HealthStatus::Unknown => return None,
        };
        Some(BACKEND_HEALTHY.number([node.backend.id.as_str()], healthy))
    });
    text.add(BACKEND_HEALTHY.with(healthy.collect()));
    let transitions = snapshot.backends().flat_map(|node| {
        HealthStatus::ALL.map(|to| {
            let count = float(node.live.transitions_to(to));
            BACKEND_TRANSITIONS.number([node.backend.id.as_str(), to.as_str()], count)
        })
    });
    text.add(BACKEND_TRANSITIONS.with(transitions.collect()));
    let ready = snapshot.backends().filter(|node| node.backend.state == BackendState::Ready);
    let tags = ready.flat_map(|node| {
        let id = node.backend.id.as_str();
        node.backend.tags.iter().map(move |tag| BACKEND_TAG.number([id, tag.as_str()], 1.0))
    });
    text.add(BACKEND_TAG.with(tags.collect()));
}
