//! The metrics in Prometheus's format, and their listener.
//!
//! Reads the counters of the published state. Nothing here is on the request path or makes requests
//! wait.

mod backends;
mod domains;
mod family;
mod ledger;
mod page;
mod process;
mod totals;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::TextEncoder;
use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;

use crate::certs::Certificates;
use crate::counters::{InFlight, Metrics};
use crate::state::Reader;
use family::Family;
use ledger::Ledger;
use totals::{Durations, float};

pub(crate) use page::{Overview, serve};

/// The sources of the metrics.
pub(crate) struct Exposed {
    /// The published state, with its counters.
    pub reader: Reader,
    /// The server's own counters.
    pub metrics: Arc<Metrics>,
    /// The state of certificates.
    pub certificates: Certificates,
    /// The open connections of each listener, by its URL.
    pub listeners: Vec<(String, Arc<InFlight>)>,
}

/// Renders the metrics. Clones share their state.
#[derive(Clone)]
pub(crate) struct Exposition {
    inner: Arc<Inner>,
}

struct Inner {
    exposed: Exposed,
    process: ProcessCollector,
    /// Locked while the text is made: with two scrapes at once, sums must not decrease.
    ledger: Mutex<Ledger>,
}

impl Exposition {
    /// The content type of [`Self::render`]'s text.
    pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// At most `per_domain_limit` domains have series of their own.
    pub(crate) fn new(exposed: Exposed, per_domain_limit: usize) -> Self {
        let process = ProcessCollector::for_self();
        let ledger = Mutex::new(Ledger::new(per_domain_limit));
        Self { inner: Arc::new(Inner { exposed, process, ledger }) }
    }

    /// All metrics in Prometheus's text format. With many domains this takes a while: don't call it
    /// on an async thread.
    pub(crate) fn render(&self) -> String {
        let Inner { exposed, process, ledger } = &*self.inner;
        let mut text = Text::default();
        {
            let mut ledger = ledger.lock();
            let snapshot = exposed.reader.load();
            let seen = ledger.look(&snapshot);
            domains::write(&seen, &mut text);
            backends::write(&snapshot, &mut text);
            process::write(exposed, &snapshot, &mut text);
            process::write_certificates(&exposed.certificates, &ledger, &mut text);
        }
        for family in process.collect() {
            text.add(family);
        }
        text.written
    }
}

/// The text format, written metric by metric, so that only the series of one are in memory.
#[derive(Default)]
struct Text {
    written: String,
}

impl Text {
    /// Writes a metric with a series for each labels and their count.
    fn counts<'l, const N: usize>(
        &mut self,
        family: &Family,
        counts: impl IntoIterator<Item = ([&'l str; N], u64)>,
    ) {
        let counts = counts.into_iter().map(|(labels, count)| family.number(labels, float(count)));
        self.add(family.with(counts.collect()));
    }

    /// The same for durations.
    fn durations<'l, const N: usize>(
        &mut self,
        family: &Family,
        durations: impl IntoIterator<Item = ([&'l str; N], Durations)>,
    ) {
        let durations = durations.into_iter();
        let durations = durations.map(|(labels, durations)| family.durations(labels, &durations));
        self.add(family.with(durations.collect()));
    }

    fn add(&mut self, family: MetricFamily) {
        // The format has no metric without series.
        if family.get_metric().is_empty() {
            return;
        }
        if let Err(error) = TextEncoder::new().encode_utf8(&[family], &mut self.written) {
            tracing::error!(%error, "a metric cannot be written");
        }
    }
}
