//! Prometheus's text format.

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use super::family::Family;
use super::totals::{Durations, float};

/// The text format, written metric by metric, so that only the series of one are in memory.
#[derive(Default)]
pub(super) struct Text {
    pub(super) written: String,
}

impl Text {
    /// Writes a metric with a series for each labels and their count.
    pub(super) fn counts<'l, const N: usize>(
        &mut self,
        family: &Family,
        counts: impl IntoIterator<Item = ([&'l str; N], u64)>,
    ) {
        let counts = counts.into_iter().map(|(labels, count)| family.number(labels, float(count)));
        self.add(family.with(counts.collect()));
    }

    /// The same for durations.
    pub(super) fn durations<'l, const N: usize>(
        &mut self,
        family: &Family,
        durations: impl IntoIterator<Item = ([&'l str; N], Durations)>,
    ) {
        let durations = durations.into_iter();
        let durations = durations.map(|(labels, durations)| family.durations(labels, &durations));
        self.add(family.with(durations.collect()));
    }

    pub(super) fn add(&mut self, family: MetricFamily) {
        // The format has no metric without series.
        if family.get_metric().is_empty() {
            return;
        }
        if let Err(error) = TextEncoder::new().encode_utf8(&[family], &mut self.written) {
            tracing::error!(%error, "a metric cannot be written");
        }
    }
}
