//! What the server takes while it is attacked: memory, open files, log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::SOON;
use super::table::Row;
use crate::harness::*;

/// How long memory may take to go back: pages that are freed are kept by the allocator for ten seconds.
const DECAY: Duration = Duration::from_secs(25);

/// What memory may be more than before, afterwards: tables that have grown, and pages in use in part.
const SLACK_KB: u64 = 24 * 1024;

/// What may be written to the log during an attack.
const MAX_LOG_KB: u64 = 512;

/// Files that may be open more than before: connections to backends are kept for a while.
const FILES_SLACK: usize = 16;

/// By how many KiB memory may grow at most: what docs/limits.md says of connections that only stand, and of
/// those that carry something and their requests at once over HTTP/2, by so many clients.
pub(super) fn memory(standing: usize, carrying: usize, requests: usize, clients: usize) -> u64 {
    // Whatever is the matter, what is no connection's own: threads, tables, answers of the control side.
    const ANY: u64 = 32 * 1024;
    const STANDING: u64 = 24;
    // `max_buffered_bytes_per_connection`, `max_buffered_bytes_per_client`, and what each connection has
    // in any case.
    const CARRYING: u64 = 2 * 1024;
    const CLIENT: u64 = 64 * 1024;
    const AT_LEAST: u64 = 64;
    // Its session, its tasks, and the buffer that Pingora reads its answer into.
    const REQUEST: u64 = 48;
    let (standing, carrying, clients) = (standing as u64, carrying as u64, clients as u64);
    let buffered = (CARRYING * carrying).min(CLIENT * clients + AT_LEAST * carrying);
    ANY + STANDING * standing + buffered + REQUEST * requests as u64
}

/// Looks at the server all the time.
pub(super) struct Sampler<'scope, 'a> {
    vhost: &'a Vhost,
    shared: Arc<Shared>,
    thread: ScopedJoinHandle<'scope, ()>,
    before: Sample,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    peak_kb: AtomicU64,
}

/// What is taken at one moment.
#[derive(Clone, Copy)]
struct Sample {
    memory_kb: u64,
    files: usize,
    log_kb: u64,
}

impl Sample {
    fn of(vhost: &Vhost) -> Self {
        Self { memory_kb: vhost.memory_kb(), files: files(vhost), log_kb: log_kb(vhost) }
    }
}

impl<'scope, 'a: 'scope> Sampler<'scope, 'a> {
    pub(super) fn start(scope: &'scope Scope<'scope, '_>, vhost: &'a Vhost) -> Self {
        let shared = Arc::<Shared>::default();
        let shown = Arc::clone(&shared);
        let before = Sample::of(vhost);
        let thread = scope.spawn(move || {
            while !shown.ended.load(Ordering::SeqCst) {
                shown.peak_kb.fetch_max(vhost.memory_kb(), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { vhost, shared, thread, before }
    }

    /// Writes down what the attack has cost, and waits until that is given back. Honest clients still run,
    /// and have so many connections that they keep.
    pub(super) fn end(self, row: &mut Row, may_grow_kb: u64, honest: usize) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = self.thread.join();
        let before = self.before;
        row.log_kb = log_kb(self.vhost).saturating_sub(before.log_kb);
        row.peak_kb = self.shared.peak_kb.load(Ordering::SeqCst).saturating_sub(before.memory_kb);
        if row.peak_kb > may_grow_kb {
            row.wrong.push(format!("memory grew by {} KiB, allowed {may_grow_kb}", row.peak_kb));
        }
        if row.log_kb > MAX_LOG_KB {
            row.wrong.push(format!("{} KiB were logged", row.log_kb));
        }
        // One more for each client that opens one anew for each exchange.
        let most = 2 * honest as u64;
        row.counters_back = within(SOON, || {
            let (connections, requests) = open(self.vhost);
            connections <= most && requests <= most
        });
        if !row.counters_back {
            row.wrong.push(format!("{:?} connections and requests are left", open(self.vhost)));
        }
        within(SOON, || {
            row.files_left = files(self.vhost).saturating_sub(before.files);
            row.files_left <= FILES_SLACK
        });
        if row.files_left > FILES_SLACK {
            row.wrong.push(format!("{} open files are left", row.files_left));
        }
        let most_after = SLACK_KB.min(may_grow_kb);
        within(DECAY, || {
            row.after_kb = self.vhost.memory_kb().saturating_sub(before.memory_kb);
            row.after_kb <= most_after
        });
        if row.after_kb > most_after {
            row.wrong.push(format!("{} KiB of memory are kept", row.after_kb));
        }
    }
}

/// What is left once nobody is there any more.
pub(super) fn left_behind(vhost: &Vhost, metrics: SocketAddr) -> Option<String> {
    if !within(SOON, || open(vhost) == (0, 0)) {
        return Some(format!("{:?} connections and requests are left for good", open(vhost)));
    }
    let are_free = within(SOON, || matches!(buffered(metrics).as_deref(), None | Some("0")));
    (!are_free).then(|| format!("{:?} bytes are counted as held for good", buffered(metrics)))
}

/// Bytes that are held on behalf of connections.
pub(super) fn buffered(metrics: SocketAddr) -> Option<String> {
    let exposed = get(metrics, &metrics.to_string(), "/metrics").text();
    let line = exposed.lines().find_map(|line| line.strip_prefix("proxy_buffered_bytes "));
    line.map(str::to_owned)
}

/// Open connections, and requests that run.
fn open(vhost: &Vhost) -> (u64, u64) {
    let state = state(vhost);
    let number = |key: &str| state[key].as_u64().expect("a number");
    (number("connections"), number("in_flight"))
}

pub(super) fn state(vhost: &Vhost) -> Value {
    vhost.rpc("state.get", json!({})).expect("state.get answers")
}

/// Whether it becomes so in time.
pub(super) fn within(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

fn files(vhost: &Vhost) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", vhost.pid()));
    open.map_or(0, Iterator::count)
}

fn log_kb(vhost: &Vhost) -> u64 {
    let log = std::fs::metadata(vhost.directory().join("stderr"));
    log.map_or(0, |log| log.len().div_ceil(1024))
}
