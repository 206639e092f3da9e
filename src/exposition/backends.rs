//! The metrics of backends.

use super::family::{
    BACKEND_HEALTHY, BACKEND_TAG, BACKEND_TRANSITIONS, UPSTREAM_DURATION, UPSTREAM_FAILURES,
    UPSTREAM_IN_FLIGHT, UPSTREAM_REQUESTS,
};
use super::text::Text;
use super::totals::Durations;
use crate::model::{AppName, BackendState, HealthStatus, StatusClass, UpstreamFailure};
use crate::state::Snapshot;

pub(super) fn write(snapshot: &Snapshot, text: &mut Text) {
    let nodes = || snapshot.backends().map(|node| (node.backend.id.as_str(), node));
    let counted = || nodes().filter_map(|(id, node)| Some((id, node.live.traffic().counts()?)));
    let requests = counted().flat_map(|(id, counts)| {
        StatusClass::ALL.map(|class| ([id, class.as_str()], counts.requests_of(class)))
    });
    text.counts(&UPSTREAM_REQUESTS, requests);
    let durations = counted().map(|(id, counts)| ([id], Durations::of(counts.latency())));
    text.durations(&UPSTREAM_DURATION, durations);
    text.counts(
        &UPSTREAM_IN_FLIGHT,
        nodes().map(|(id, node)| ([id], node.live.in_flight() as u64)),
    );
    // Most backends of a large server have had no request.
    let asked = nodes().filter(|(_, node)| node.live.requests() > 0);
    let failures = asked.flat_map(|(id, node)| {
        UpstreamFailure::all()
            .map(move |reason| ([id, reason.as_str()], node.live.failures_of(reason)))
    });
    text.counts(&UPSTREAM_FAILURES, failures);
    // No series while the health is unknown: a disabled backend is never probed, and would look as
    // if it were down.
    let healthy = nodes().filter_map(|(id, node)| match node.live.health() {
        HealthStatus::Healthy => Some(([id], 1)),
        HealthStatus::Unhealthy => Some(([id], 0)),
        HealthStatus::Unknown => None,
    });
    text.counts(&BACKEND_HEALTHY, healthy);
    let transitions = nodes().flat_map(|(id, node)| {
        HealthStatus::ALL.map(|to| ([id, to.as_str()], node.live.transitions_to(to)))
    });
    text.counts(&BACKEND_TRANSITIONS, transitions);
    let ready = nodes().filter(|(_, node)| node.backend.state == BackendState::Ready);
    let tags = ready.flat_map(|(id, node)| {
        let app = node.backend.options.app.as_ref().map_or("", AppName::as_str);
        node.backend.tags.iter().map(move |tag| ([id, app, tag.as_str()], 1))
    });
    text.counts(&BACKEND_TAG, tags);
}
