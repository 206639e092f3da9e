//! The metrics of the server as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::exposed::Exposed;
use super::family::{
    BUFFERED, BUILD_INFO, CERTIFICATE_NOT_AFTER, CONFIG_RELOADS, CONNECTIONS, DROPPED_FIELDS,
    DROPPED_LINES, NETTED, NOTIFY_DELIVERIES, NOTIFY_WAITING, REFUSED, STATE_REVISION,
    SWITCH_DURATION, TRIAL_ENDS, TRIALS,
};
use super::ledger::{Ledger, OTHER};
use super::text::Text;
use super::totals::{Durations, float};
use crate::certs::Certificates;
use crate::counters::Metrics;
use crate::model::{Course, Reason, ReloadEnd, Trial, TrialEnd, TrialKind};
use crate::state::Snapshot;

pub(super) fn write(exposed: &Exposed, snapshot: &Snapshot, text: &mut Text) {
    let metrics = &exposed.metrics;
    let connections = exposed.listeners.iter();
    let connections = connections.map(|(url, open)| ([url.as_str()], open.count() as u64));
    text.counts(&CONNECTIONS, connections);
    text.counts(&BUFFERED, [([], metrics.buffered.used() as u64)]);
    let refused = Reason::all().map(|reason| ([reason.as_str()], metrics.refused_for(reason)));
    text.counts(&REFUSED, refused);
    text.counts(&DROPPED_FIELDS, [([], metrics.dropped_fields())]);
    write_trials(metrics, snapshot, text);
    text.durations(&SWITCH_DURATION, [([], Durations::of(&metrics.switch_durations))]);
    text.counts(&CONFIG_RELOADS, ReloadEnd::ALL.map(|end| ([end.as_str()], metrics.reloads(end))));
    write_notified(metrics, text);
    let dropped =
        [("log", &metrics.dropped_lines.log), ("access_log", &metrics.dropped_lines.access_log)];
    let dropped = dropped.map(|(log, lines)| ([log], lines.load(Ordering::Relaxed)));
    text.counts(&DROPPED_LINES, dropped);
    text.counts(&STATE_REVISION, [([], snapshot.revision())]);
    text.counts(&BUILD_INFO, [([env!("CARGO_PKG_VERSION")], 1)]);
}

fn write_notified(metrics: &Metrics, text: &mut Text) {
    let targets = metrics.notified.all();
    let deliveries = targets.iter().flat_map(|(name, counts)| {
        let outcomes = [
            ("delivered", &counts.delivered),
            ("failed", &counts.failed),
            ("dropped", &counts.dropped),
        ];
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        outcomes.map(|(outcome, counted)| ([name.as_str(), outcome], count(counted)))
    });
    text.counts(&NOTIFY_DELIVERIES, deliveries);
    let waiting = targets
        .iter()
        .map(|(name, counts)| ([name.as_str()], counts.waiting.load(Ordering::Relaxed)));
    text.counts(&NOTIFY_WAITING, waiting);
}

fn write_trials(metrics: &Metrics, snapshot: &Snapshot, text: &mut Text) {
    // All domains of an app have the same.
    let trials = snapshot.domains().filter_map(|node| node.virtual_host.beside.trial.as_ref());
    let trials: BTreeMap<u64, TrialKind> = trials.map(|trial| (trial.id, kind_of(trial))).collect();
    let running = |kind| trials.values().filter(|of| **of == kind).count() as u64;
    text.counts(&TRIALS, TrialKind::ALL.map(|kind| ([kind.as_str()], running(kind))));
    let ends = TrialKind::ALL.into_iter().flat_map(|kind| TrialEnd::ALL.map(|end| (kind, end)));
    let ends =
        ends.map(|(kind, end)| ([kind.as_str(), end.as_str()], metrics.trial_ends(kind, end)));
    text.counts(&TRIAL_ENDS, ends);
    text.counts(&NETTED, [([], metrics.netted())]);
}

fn kind_of(trial: &Trial) -> TrialKind {
    match trial.course {
        Course::Guard { .. } => TrialKind::Guard,
        Course::Rollout(_) => TrialKind::Rollout,
    }
}

/// Of domains without series of their own, the certificate that expires first.
pub(super) fn write_certificates(certificates: &Certificates, ledger: &Ledger, text: &mut Text) {
    let mut first = BTreeMap::new();
    for (name, domain, not_after_ms) in certificates.not_after() {
        let name = if ledger.lists(&domain) { name.to_string() } else { OTHER.to_owned() };
        let first = first.entry(name).or_insert(not_after_ms);
        *first = not_after_ms.min(*first);
    }
    let series = first.iter().map(|(name, not_after_ms)| {
        CERTIFICATE_NOT_AFTER.number([name.as_str()], float(*not_after_ms) / 1000.0)
    });
    text.add(CERTIFICATE_NOT_AFTER.with(series.collect()));
}
