//! Renders the metrics.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;

use super::exposed::Exposed;
use super::ledger::Ledger;
use super::text::Text;
use super::{backends, domains, process};

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
