//! The processes that this one has replaced: they follow the state, and say what still runs there.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::control::ControlPlane;
use crate::counters::{Elsewhere, Remains};
use crate::hand_over::{Aftermath, Channel, Lead, ReplacedProcess, Running};
use crate::model::Change;

/// Between two looks whether to go on listening.
const LISTEN: Duration = Duration::from_millis(20);

/// How long a change waits for a process to follow it. It has nothing else to do; one that is stopped, say, must not keep
/// the operator from changes.
const PATIENCE: Duration = Duration::from_secs(1);

/// The processes that this one has replaced. Clones share it.
#[derive(Clone, Default)]
pub(super) struct ReplacedProcesses {
    inner: Arc<Inner>,
}

/// The revision that changes lead to, and the changes.
type Edits = (u64, Vec<Change>);

#[derive(Default)]
struct Inner {
    elsewhere: Elsewhere,
    watched: Mutex<Vec<Watched>>,
    /// Changes that were made before anybody could follow them.
    pending: Mutex<Option<Vec<Edits>>>,
    pausing: AtomicBool,
}

struct Watched {
    is: ReplacedProcess,
    /// What is said to it.
    lead: Channel,
    /// Whether it has followed so far.
    follows: bool,
    /// Listens to it; what it gives back when it is to stop has no half of a line.
    listener: Option<JoinHandle<Option<Channel>>>,
}

impl ReplacedProcesses {
    pub(super) fn elsewhere(&self) -> &Elsewhere {
        &self.inner.elsewhere
    }

    /// Has the changes of `plane` followed, by the processes that [`Self::watch`] begins with.
    pub(super) fn lead(&self, plane: &ControlPlane) {
        *self.inner.pending.lock() = Some(Vec::new());
        let of = self.clone();
        plane.lead(Box::new(move |revision, changes| of.follow(revision, changes)));
    }

    /// Watches them from now on. `control` runs what they want to be written.
    pub(super) fn watch(
        &self,
        replaced: Vec<(ReplacedProcess, Channel)>,
        plane: &ControlPlane,
        control: &Handle,
    ) {
        let mut watched = self.inner.watched.lock();
        for (is, channel) in replaced {
            let Ok(lead) = channel.again() else { continue };
            self.inner.elsewhere.add(is.pid, is.since_ms);
            let listener = self.listen(is.pid, channel, plane.clone(), control.clone());
            watched.push(Watched { is, lead, follows: true, listener: Some(listener) });
        }
        drop(watched);
        let pending = self.inner.pending.lock().take();
        for (revision, changes) in pending.unwrap_or_default() {
            self.follow(revision, &changes);
        }
    }

    fn follow(&self, revision: u64, changes: &[Change]) {
        if let Some(pending) = &mut *self.inner.pending.lock() {
            pending.push((revision, changes.to_vec()));
            return;
        }
        let mut watched = self.inner.watched.lock();
        for of in watched.iter_mut().filter(|of| of.follows) {
            let news = Lead::Changed { revision, changes: changes.to_vec() };
            of.follows = of.lead.send_within(&news, PATIENCE).is_ok();
        }
        for of in watched.iter_mut().filter(|of| of.follows) {
            of.follows = self.inner.elsewhere.wait_for(of.is.pid, revision, PATIENCE);
            if !of.follows {
                let pid = of.is.pid;
                tracing::warn!(
                    pid,
                    revision,
                    "a process that was replaced follows no more changes"
                );
            }
        }
    }

    fn listen(
        &self,
        pid: u32,
        mut channel: Channel,
        plane: ControlPlane,
        control: Handle,
    ) -> JoinHandle<Option<Channel>> {
        let inner = Arc::clone(&self.inner);
        std::thread::spawn(move || {
            loop {
                match channel.receive_within::<Aftermath>(LISTEN) {
                    Ok(None) => {
                        if inner.pausing.load(Ordering::Relaxed) && channel.is_between_lines() {
                            return Some(channel);
                        }
                    }
                    Ok(Some(Aftermath::Remains(running))) => {
                        inner.elsewhere.set(pid, remains(running));
                    }
                    Ok(Some(Aftermath::Outcome { event, outcome })) => {
                        let set = control.block_on(plane.note_outcome(event, outcome));
                        if let Err(error) = set {
                            tracing::error!(%error, "the end of a drain is not in the history");
                        }
                    }
                    Err(_) => break,
                }
            }
            tracing::info!(pid, "a process that was replaced has ended");
            if inner.elsewhere.remove(pid)
                && let Err(error) = control.block_on(plane.end_interrupted())
            {
                tracing::error!(%error, "drains that were cut short are not in the history");
            }
            None
        })
    }

    /// Listens no more, so that a successor can. Gives each process that has not ended, with the channel.
    pub(super) fn pause(&self) -> Vec<(ReplacedProcess, Channel)> {
        self.inner.pausing.store(true, Ordering::Relaxed);
        let watched = std::mem::take(&mut *self.inner.watched.lock());
        let of = watched.into_iter().filter_map(|of| {
            let channel = of.listener?.join().ok().flatten()?;
            Some((of.is, channel))
        });
        let paused = of.collect();
        self.inner.pausing.store(false, Ordering::Relaxed);
        paused
    }

    /// Listens again, where the successor has failed.
    pub(super) fn resume(
        &self,
        paused: Vec<(ReplacedProcess, Channel)>,
        plane: &ControlPlane,
        control: &Handle,
    ) {
        let mut watched = self.inner.watched.lock();
        for (is, channel) in paused {
            let Ok(lead) = channel.again() else { continue };
            let listener = self.listen(is.pid, channel, plane.clone(), control.clone());
            watched.push(Watched { is, lead, follows: true, listener: Some(listener) });
        }
    }

    /// Those that have not ended, with the descriptors of their channels.
    pub(super) fn to_hand_on(&self) -> Vec<(ReplacedProcess, OwnedFd)> {
        let watched = self.inner.watched.lock();
        watched.iter().filter_map(|of| Some((of.is.clone(), of.lead.descriptor().ok()?))).collect()
    }
}

fn remains(running: Running) -> Remains {
    let Running { connections, in_flight, revision, tags, backends } = running;
    let tags = tags.into_iter().map(|of| ((of.domain, of.tag), (of.requests, of.web_sockets)));
    let backends = backends.into_iter().map(|of| (of.backend, of.requests));
    let (tags, backends): (HashMap<_, _>, HashMap<_, _>) = (tags.collect(), backends.collect());
    Remains { revision, connections, in_flight, tags, backends }
}
