//! What looks after backends, pages and certificates beside the traffic.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::logs::log_doubts;
use super::settle::{health_settings, page_rules};
use super::sockets::Sockets;
use crate::certs::Journal;
use crate::config::Config;
use crate::control::{ControlPlane, Probed, Services, SmokeNow};
use crate::health::{self, Checker};
use crate::model::{BackendAddr, BackendState, Carried};
use crate::notify::Notifier;
use crate::proxy::{HostServices, PageKeeper};
use crate::rpc::Warnings;
use crate::state::{BackendNode, Reader, Snapshot};
use crate::stats::{MOST_MINUTES, Stats};

/// How long a start waits for names of backends to resolve, before it takes traffic without them.
const FIRST_LOOKUPS: Duration = Duration::from_secs(2);

/// Begins to probe backends and to remember traffic, from where the server before has come to.
pub(super) fn observe(
    control: &Runtime,
    config: &Config,
    reader: &Reader,
    carried: &Carried,
) -> (Checker, Stats) {
    let _context = control.enter();
    let checker = health::spawn(health_settings(config), reader.clone());
    let stats = Stats::spawn(reader.clone());
    if let Some(recent) = &carried.traffic {
        stats.resume(&reader.load(), recent);
    }
    (checker, stats)
}

/// Waits until every ready backend with a name has an address, or it has been long enough.
pub(super) async fn resolved(reader: &Reader) {
    let deadline = tokio::time::Instant::now() + FIRST_LOOKUPS;
    let unresolved = || {
        reader.load().backends().any(|node| {
            matches!(node.backend.address, BackendAddr::Name { .. })
                && node.backend.state == BackendState::Ready
                && node.live.endpoints().is_empty()
        })
    };
    while unresolved() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the control plane needs of the rooms that probe, that remember traffic, and that carry requests.
pub(super) fn services(checker: &Checker, stats: &Stats, smoke: SmokeNow) -> Services {
    let (checker, of_tags, of_peaks) = (checker.clone(), stats.clone(), stats.clone());
    Services {
        probe: Arc::new(move |node| {
            let checker = checker.clone();
            Box::pin(async move {
                let verdict = checker.probe_now(&node).await;
                Probed { succeeded: verdict.passed, report: verdict.report }
            })
        }),
        baseline: Arc::new(move |domain, tag, ratio| {
            let recent = of_tags.recent(domain, tag, MOST_MINUTES)?;
            Some(crate::rollout::baseline(&recent, ratio))
        }),
        peak: Arc::new(move |steps| of_peaks.peak_in_flight(steps)),
        smoke,
    }
}

/// Writes to the history what happens to certificates.
pub(super) fn journal_to(plane: &ControlPlane) -> Journal {
    let plane = plane.clone();
    Arc::new(move |actor, domain, news| {
        let plane = plane.clone();
        Box::pin(async move { plane.note_certificate(actor, domain, news).await })
    })
}

/// Keeps error pages as their files are. Gives what is wrong with them, with files of backends, and with sockets.
pub(super) fn keep_pages(
    config: &Config,
    hosts: &HostServices,
    reader: &Reader,
    control: &Runtime,
    sockets: &Arc<Sockets>,
) -> Warnings {
    log_doubts(config);
    let (pages, reader) = (hosts.pages.clone(), reader.clone());
    pages.set_rules(page_rules(config, config.reserved_paths()));
    control.spawn(PageKeeper::open(pages.clone(), reader.clone()).keep());
    let sockets = Arc::clone(sockets);
    let warnings =
        move || [pages.warnings(), without_handshake(&reader.load()), sockets.warnings()].concat();
    Warnings::new(warnings)
}

/// Warns of targets of notifications that fail as well.
pub(super) fn and_of_targets(warnings: Warnings, notifier: &Notifier) -> Warnings {
    let notifier = notifier.clone();
    Warnings::new(move || [warnings.now(), notifier.warnings()].concat())
}

/// The backends that there can be no handshake with, and why.
fn without_handshake(state: &Snapshot) -> Vec<String> {
    let why = |node: &Arc<BackendNode>| {
        let error = node.tls().err()?;
        Some(format!("backend `{}`: {error}; {}, then reload", node.backend.id, error.hint()))
    };
    state.backends().filter_map(why).collect()
}
