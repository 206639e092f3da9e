//! The metrics of the server as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::family::{
    BUFFERED, BUILD_INFO, CERTIFICATE_NOT_AFTER, CONFIG_RELOADS, CONNECTIONS, DROPPED_FIELDS,
    DROPPED_LINES, REFUSED, STATE_REVISION, SWITCH_DURATION,
};
use super::ledger::{Ledger, OTHER};
use super::totals::{Durations, float};
use super::{Exposed, Text};
use crate::certs::Certificates;
use crate::model::Reason;
use crate::model::ReloadEnd;
use crate::state::Snapshot;

pub(super) fn write(exposed: &Exposed, snapshot: &Snapshot, text: &mut Text) {
    let metrics = &exposed.metrics;
    let connections = exposed.listeners.iter().map(|(listener, open)| {
        CONNECTIONS.number([listener.as_str()], float(open.count() as u64))
    });
    text.add(CONNECTIONS.with(connections.collect()));
    text.add(BUFFERED.with(vec![BUFFERED.number([], float(metrics.buffered.used() as u64))]));
    let refused = Reason::all()
        .map(|reason| REFUSED.number([reason.as_str()], float(metrics.refused_for(reason))));
    text.add(REFUSED.with(refused.collect()));
    let fields = DROPPED_FIELDS.number([], float(metrics.dropped_fields()));
    text.add(DROPPED_FIELDS.with(vec![fields]));
    let durations = Durations::of(&metrics.switch_durations);
    text.add(SWITCH_DURATION.with(vec![SWITCH_DURATION.durations([], &durations)]));
    let reloads = ReloadEnd::ALL
        .map(|end| CONFIG_RELOADS.number([end.as_str()], float(metrics.reloads(end))));
    text.add(CONFIG_RELOADS.with(reloads.into()));
    let dropped =
        [("log", &metrics.dropped_lines.log), ("access_log", &metrics.dropped_lines.access_log)];
    let dropped = dropped
        .map(|(log, lines)| DROPPED_LINES.number([log], float(lines.load(Ordering::Relaxed))));
    text.add(DROPPED_LINES.with(dropped.into()));
    let revision = STATE_REVISION.number([], float(snapshot.revision()));
    text.add(STATE_REVISION.with(vec![revision]));
    let build = BUILD_INFO.number([env!("CARGO_PKG_VERSION")], 1.0);
    text.add(BUILD_INFO.with(vec![build]));
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
