//! Resolves the names in backends' addresses, at once and periodically.
//!
//! One task per name, however many backends share it. It uses the system's resolver, and so
//! `/etc/hosts` and `nsswitch.conf`. After a failed look-up the last addresses stay.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::monitor::Monitor;
use crate::model::BackendAddr;

/// Time that one look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Time until a look-up that failed is tried again, unless the interval is shorter.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Asks for the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(Arc<str>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;
/// Socket addresses without a port: an IPv6 address may have a zone.
type Answer = io::Result<Vec<SocketAddr>>;

/// Uses the system's resolver.
pub(super) fn system_lookup(host: Arc<str>) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        let found = tokio::net::lookup_host((&*host, 0)).await?;
        Ok(found.collect())
    })
}

/// The names of backends, each looked up by a task of its own.
pub(super) struct Names {
    interval: watch::Sender<Duration>,
    lookup: Lookup,
    runtime: Handle,
    hosts: Mutex<HashMap<Arc<str>, Host>>,
}

/// Dropping it ends the look-ups.
struct Host {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    host: Arc<str>,
    state: Mutex<State>,
    /// Why the last look-up failed; `None` before the first.
    outcome: watch::Sender<Option<Result<(), String>>>,
}

#[derive(Default)]
struct State {
    addresses: Vec<SocketAddr>,
    backends: Vec<Arc<Monitor>>,
}

impl Names {
    pub(super) fn new(interval: Duration, lookup: Lookup, runtime: Handle) -> Self {
        let interval = watch::Sender::new(interval);
        Self { interval, lookup, runtime, hosts: Mutex::default() }
    }

    /// Changes the interval of look-ups.
    pub(super) fn set_interval(&self, interval: Duration) {
        self.interval.send_if_modified(|now| std::mem::replace(now, interval) != interval);
    }

    /// Keeps the backend's addresses up to date if it has a name.
    pub(super) fn follow(&self, monitor: &Arc<Monitor>) {
        let BackendAddr::Name { host, .. } = &monitor.node.backend.address else { return };
        let mut hosts = self.hosts.lock();
        let known = hosts.entry(Arc::clone(host)).or_insert_with(|| {
            let shared = Arc::new(Shared {
                host: Arc::clone(host),
                state: Mutex::default(),
                outcome: watch::Sender::new(None),
            });
            let task = resolve_again_and_again(
                Arc::clone(&shared),
                Arc::clone(&self.lookup),
                self.interval.subscribe(),
            );
            Host { task: self.runtime.spawn(task).abort_handle(), shared }
        });
        let mut state = known.shared.state.lock();
        if !state.addresses.is_empty() {
            monitor.set_addresses(&state.addresses);
        }
        state.backends.push(Arc::clone(monitor));
    }

    /// Ends what `follow` began.
    pub(super) fn unfollow(&self, monitor: &Arc<Monitor>) {
        let BackendAddr::Name { host, .. } = &monitor.node.backend.address else { return };
        let mut hosts = self.hosts.lock();
        let Some(known) = hosts.get(host) else { return };
        let mut state = known.shared.state.lock();
        state.backends.retain(|backend| !Arc::ptr_eq(backend, monitor));
        let is_unused = state.backends.is_empty();
        drop(state);
        if is_unused {
            hosts.remove(host);
        }
    }

    /// Waits until the name has been looked up once, and returns why the last look-up failed.
    pub(super) async fn failure(&self, host: &str) -> Option<String> {
        let mut outcome = self.hosts.lock().get(host)?.shared.outcome.subscribe();
        let outcome = outcome.wait_for(Option::is_some).await.ok()?;
        outcome.as_ref()?.as_ref().err().cloned()
    }
}

async fn resolve_again_and_again(
    shared: Arc<Shared>,
    lookup: Lookup,
    mut interval: watch::Receiver<Duration>,
) {
    loop {
        let answer = match timeout(LOOKUP_TIMEOUT, lookup(Arc::clone(&shared.host))).await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err("it has no addresses".to_owned()),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(lookup_reason(&error)),
            Err(_) => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
        };
        let pause = *interval.borrow_and_update();
        let pause = if answer.is_ok() { pause } else { pause.min(RETRY_INTERVAL) };
        shared.take(answer);
        tokio::select! {
            () = sleep(super::pace::jittered(pause)) => {}
            // Without its sender the addresses are not needed, and the task is about to end.
            Ok(()) = interval.changed() => {}
        }
    }
}

impl Shared {
    fn take(&self, answer: Result<Vec<SocketAddr>, String>) {
        let outcome = answer.as_ref().map(drop).map_err(Clone::clone);
        match answer {
            Ok(addresses) => self.set(addresses),
            Err(reason) => {
                let failed_before = matches!(&*self.outcome.borrow(), Some(Err(_)));
                if !failed_before {
                    let kept = self.state.lock().addresses.clone();
                    warn!(name = %self.host, reason, kept = ips(&kept), "name did not resolve");
                }
            }
        }
        // After the addresses, so that tasks that wait for the outcome see them.
        self.outcome.send_replace(Some(outcome));
    }

    fn set(&self, mut addresses: Vec<SocketAddr>) {
        let mut seen = std::collections::HashSet::new();
        addresses.retain(|address| seen.insert(*address));
        let mut state = self.state.lock();
        let same = addresses.len() == state.addresses.len()
            && addresses.iter().all(|address| state.addresses.contains(address));
        if !same {
            let (before, after) = (ips(&state.addresses), ips(&addresses));
            info!(name = %self.host, before, after, "name resolved");
            state.addresses = addresses;
            for monitor in &state.backends {
                monitor.set_addresses(&state.addresses);
            }
        }
    }
}

fn ips(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
}

/// The resolver's words without its preamble.
fn lookup_reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests;
