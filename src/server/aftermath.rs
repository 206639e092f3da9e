//! What a process does for its successor after it was replaced: it follows the state, and says what still runs here.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::config::variable;
use crate::control::ControlPlane;
use crate::counters::Metrics;
use crate::hand_over::{Aftermath, Channel, ChannelError, Lead, OnBackend, OnTag, Running};
use crate::model::{Change, Outcome};
use crate::state::{BackendLive, DomainNode, Snapshot};
use crate::tls::PeerFiles;

/// Between two looks at what runs.
const LOOK: Duration = Duration::from_millis(20);

/// How often it is said although nothing has changed: what was said may have been heard by a process that has ended
/// since.
const SAY_AGAIN: Duration = Duration::from_millis(500);

/// How long the successor may take nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What still runs on what the state has no more.
#[derive(Default)]
struct Gone {
    domains: Vec<Arc<DomainNode>>,
    backends: Vec<(String, Arc<BackendLive>)>,
}

/// What is done for a successor.
#[derive(Debug)]
pub(super) struct Service {
    is_ending: Arc<AtomicBool>,
    /// The successor has ended: nobody listens any more.
    is_lost: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Service {
    /// Whether the successor has ended.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Says what there is to say yet. Blocks.
    pub(super) fn end(self) {
        self.is_ending.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

/// Follows the successor at the other end of `channel`, until either has ended.
pub(super) fn begin(mut channel: Channel, plane: ControlPlane, metrics: Arc<Metrics>) -> Service {
    let (sender, outcomes) = mpsc::channel::<(u64, Outcome)>();
    let sender = parking_lot::Mutex::new(sender);
    plane.tell_outcomes(Box::new(move |event, outcome| {
        // Whoever can't be told ends, and takes the drain with it.
        let _ = sender.lock().send((event, outcome));
    }));
    let is_ending = Arc::new(AtomicBool::new(false));
    let is_lost = Arc::new(AtomicBool::new(false));
    let (ending, lost) = (Arc::clone(&is_ending), Arc::clone(&is_lost));
    let thread = std::thread::spawn(move || {
        if let Err(error) = serve_successor(&mut channel, &plane, &metrics, &outcomes, &ending) {
            tracing::error!(%error, "the process that has taken over has ended");
            lost.store(true, Ordering::Relaxed);
        }
    });
    Service { is_ending, is_lost, thread }
}

fn serve_successor(
    channel: &mut Channel,
    plane: &ControlPlane,
    metrics: &Metrics,
    outcomes: &mpsc::Receiver<(u64, Outcome)>,
    is_ending: &AtomicBool,
) -> Result<(), ChannelError> {
    let mut gone = Gone::default();
    let mut said = (Running::default(), None::<Instant>);
    loop {
        let ends = is_ending.load(Ordering::Relaxed);
        let mut is_due = said.1.is_none_or(|at| at.elapsed() >= SAY_AGAIN);
        match channel.receive_within(LOOK)? {
            // The answer, which somebody waits for, is what still runs, with the revision.
            Some(Lead::Changed { revision, changes }) => {
                if revision == plane.snapshot().revision() + 1 {
                    follow(plane, revision, changes, &mut gone);
                }
                is_due = true;
            }
            Some(Lead::State { revision, state }) => {
                let changes = leading_to(&plane.snapshot(), state);
                follow(plane, revision, changes, &mut gone);
                is_due = true;
            }
            None => {}
        }
        for (event, outcome) in outcomes.try_iter() {
            channel.send_within(&Aftermath::Outcome { event, outcome }, PATIENCE)?;
        }
        let running = running(&plane.snapshot(), metrics, &mut gone);
        if is_due || running != said.0 {
            channel.send_within(&Aftermath::Remains(running.clone()), PATIENCE)?;
            said = (running, Some(Instant::now()));
        }
        if ends {
            return Ok(());
        }
    }
}

/// The edits that lead from `snapshot` to a whole state.
fn leading_to(snapshot: &Snapshot, state: Vec<Change>) -> Vec<Change> {
    let (mut apps, mut domains, mut backends) = (HashSet::new(), HashSet::new(), HashSet::new());
    for change in &state {
        match change {
            Change::PutApp(app) => _ = apps.insert(app.name.clone()),
            Change::PutDomain(virtual_host) => _ = domains.insert(virtual_host.domain.clone()),
            Change::PutBackend(backend) => _ = backends.insert(backend.id.clone()),
            Change::DropApp(_) | Change::DropDomain(_) | Change::DropBackend(_) => {}
        }
    }
    let own = snapshot.domains().map(|node| &node.virtual_host.domain);
    let gone = own.filter(|own| !domains.contains(*own)).cloned().map(Change::DropDomain);
    let mut changes: Vec<_> = gone.collect();
    let own = snapshot.backends().map(|node| &node.backend.id);
    let gone = own.filter(|own| !backends.contains(*own)).cloned().map(Change::DropBackend);
    changes.extend(gone);
    let own = snapshot.apps().map(|node| &node.app.name);
    let gone: Vec<_> =
        own.filter(|own| !apps.contains(*own)).cloned().map(Change::DropApp).collect();
    changes.extend(state);
    changes.extend(gone);
    changes
}

fn follow(plane: &ControlPlane, revision: u64, mut changes: Vec<Change>, gone: &mut Gone) {
    let before = plane.snapshot();
    let mut files = PeerFiles::default();
    for change in &mut changes {
        match change {
            // What can't be read is seen by whoever has made the change.
            Change::PutDomain(virtual_host) => _ = virtual_host.options.resolve(&variable),
            Change::PutBackend(backend) => _ = files.read(&backend.options),
            Change::DropDomain(domain) => gone.domains.extend(before.domain(domain).cloned()),
            Change::DropBackend(id) => gone
                .backends
                .extend(before.backend(id).map(|node| (id.to_string(), Arc::clone(&node.live)))),
            Change::PutApp(_) | Change::DropApp(_) => {}
        }
    }
    plane.follow(revision, changes, &files);
}

fn running(snapshot: &Snapshot, metrics: &Metrics, gone: &mut Gone) -> Running {
    gone.domains.retain(|node| node.in_flight().any(|(_, requests)| requests > 0));
    gone.backends.retain(|(_, live)| live.in_flight() > 0);
    let tags = snapshot.domains().chain(&gone.domains).flat_map(|node| {
        let domain = &node.virtual_host.domain;
        node.tags().iter().filter(|of| of.requests() > 0).map(|of| OnTag {
            domain: domain.to_string(),
            tag: of.tag().to_string(),
            requests: of.in_flight.count(),
            web_sockets: of.in_flight.web_sockets(),
        })
    });
    let backends = snapshot.backends().map(|node| (node.backend.id.to_string(), &node.live));
    let backends = backends.chain(gone.backends.iter().map(|(id, live)| (id.clone(), live)));
    let backends = backends.filter(|(_, live)| live.in_flight() > 0);
    Running {
        connections: metrics.connections.count(),
        in_flight: metrics.busy.count(),
        revision: snapshot.revision(),
        tags: tags.collect(),
        backends: backends
            .map(|(backend, live)| OnBackend { backend, requests: live.in_flight() })
            .collect(),
    }
}
