//! The processes that this one has replaced: they follow the state, and say what still runs there.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::control::ControlPlane;
use crate::counters::{Elsewhere, Remains};
use crate::hand_over::{Aftermath, Channel, Lead, ReplacedProcess, Running};
use crate::model::{Change, Outcome};
use crate::state::Snapshot;

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

#[derive(Default)]
struct Inner {
    elsewhere: Elsewhere,
    watched: Mutex<Vec<Watched>>,
    pausing: AtomicBool,
}

struct Watched {
    is: ReplacedProcess,
    /// What is said to it.
    lead: Channel,
    follows: Follows,
    /// Listens to it; what it gives back when it is to stop has no half of a line.
    listener: JoinHandle<Option<Channel>>,
}

/// Whether a process routes by the state as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// It has followed every change.
    Changes,
    /// It may have missed some: the next time it gets the whole state.
    WantsState,
    /// It could not follow the whole state either: it knows less than this version says.
    Never,
}

/// What is to be written for a process that was replaced. Its listener must not wait for the writer, who may wait for it.
enum Note {
    Outcome(u64, Outcome),
    AllHaveEnded,
}

impl ReplacedProcesses {
    pub(super) fn elsewhere(&self) -> &Elsewhere {
        &self.inner.elsewhere
    }

    /// Watches them from now on, and has them follow each change of `plane`. Blocks until they have its state of now.
    pub(super) fn watch(
        &self,
        replaced: Vec<(ReplacedProcess, Channel)>,
        plane: &ControlPlane,
        control: &Handle,
    ) {
        if replaced.is_empty() {
            return;
        }
        for (is, _) in &replaced {
            self.inner.elsewhere.add(is.pid, is.since_ms);
        }
        self.listen_to(replaced, plane, control);
        let (first, each) = (self.clone(), self.clone());
        plane.lead(
            move |snapshot| first.follow(snapshot, &[]),
            Box::new(move |snapshot, changes| each.follow(snapshot, changes)),
        );
    }

    fn listen_to(
        &self,
        replaced: Vec<(ReplacedProcess, Channel)>,
        plane: &ControlPlane,
        control: &Handle,
    ) {
        let (notes, to_write) = mpsc::unbounded_channel();
        control.spawn(write(plane.clone(), to_write));
        let mut watched = self.inner.watched.lock();
        for (is, channel) in replaced {
            let Ok(lead) = channel.again() else { continue };
            let listener = self.listen(is.pid, channel, notes.clone());
            watched.push(Watched { is, lead, follows: Follows::WantsState, listener });
        }
    }

    /// Has each process follow to `snapshot`, to which `changes` lead.
    fn follow(&self, snapshot: &Snapshot, changes: &[Change]) {
        let revision = snapshot.revision();
        let mut watched = self.inner.watched.lock();
        watched.retain(|of| !of.listener.is_finished());
        for of in watched.iter_mut().filter(|of| of.follows != Follows::Never) {
            let news = match of.follows {
                Follows::Changes => Lead::Changed { revision, changes: changes.to_vec() },
                _ => Lead::State { revision, state: whole(snapshot) },
            };
            // One that takes nothing is heard of no more either.
            let _ = of.lead.send_within(&news, PATIENCE);
        }
        for of in watched.iter_mut().filter(|of| of.follows != Follows::Never) {
            let has_followed = self.inner.elsewhere.wait_for(of.is.pid, revision, PATIENCE);
            of.follows = match (has_followed, of.follows) {
                (true, _) => Follows::Changes,
                (false, Follows::Changes) => Follows::WantsState,
                (false, _) => Follows::Never,
            };
            if !has_followed {
                let pid = of.is.pid;
                tracing::warn!(
                    pid,
                    revision,
                    "a process that was replaced has not followed a change"
                );
            }
        }
    }

    fn listen(
        &self,
        pid: u32,
        mut channel: Channel,
        notes: mpsc::UnboundedSender<Note>,
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
                        let _ = notes.send(Note::Outcome(event, outcome));
                    }
                    Err(_) => break,
                }
            }
            tracing::info!(pid, "a process that was replaced has ended");
            if inner.elsewhere.remove(pid) {
                let _ = notes.send(Note::AllHaveEnded);
            }
            None
        })
    }

    /// Listens no more, so that a successor can. Gives each process that has not ended, with the channel.
    pub(super) fn pause(&self) -> Vec<(ReplacedProcess, Channel)> {
        self.inner.pausing.store(true, Ordering::Relaxed);
        let watched = std::mem::take(&mut *self.inner.watched.lock());
        let of = watched.into_iter().filter_map(|of| {
            let channel = of.listener.join().ok().flatten()?;
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
        self.listen_to(paused, plane, control);
    }

    /// Those that have not ended, with the descriptors of their channels.
    pub(super) fn to_hand_on(&self) -> Vec<(ReplacedProcess, OwnedFd)> {
        let watched = self.inner.watched.lock();
        let there = watched.iter().filter(|of| !of.listener.is_finished());
        there.filter_map(|of| Some((of.is.clone(), of.lead.descriptor().ok()?))).collect()
    }
}

/// Writes what there is to note, as long as somebody listens.
async fn write(plane: ControlPlane, mut noted: mpsc::UnboundedReceiver<Note>) {
    while let Some(note) = noted.recv().await {
        let written = match note {
            Note::Outcome(event, outcome) => plane.set_outcome(event, outcome).await,
            Note::AllHaveEnded => plane.end_interrupted().await,
        };
        if let Err(error) = written {
            tracing::error!(%error, "the end of a drain is not in the history");
        }
    }
}

/// The whole state, as edits of one that is empty.
fn whole(snapshot: &Snapshot) -> Vec<Change> {
    let apps = snapshot.apps().map(|node| Change::PutApp(node.app.clone()));
    let backends = snapshot.backends().map(|node| Change::PutBackend(node.backend.clone()));
    let domains = snapshot.domains().map(|node| Change::PutDomain(node.virtual_host.clone()));
    apps.chain(backends).chain(domains).collect()
}

fn remains(running: Running) -> Remains {
    let Running { connections, in_flight, revision, tags, backends } = running;
    let tags = tags.into_iter().map(|of| ((of.domain, of.tag), (of.requests, of.web_sockets)));
    let backends = backends.into_iter().map(|of| (of.backend, of.requests));
    let (tags, backends): (HashMap<_, _>, HashMap<_, _>) = (tags.collect(), backends.collect());
    Remains { revision, connections, in_flight, tags, backends }
}
