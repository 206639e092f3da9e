//! What still runs in processes that this one has taken over from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What runs in one process, as it last said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// The revision of the state that it routes by.
    pub(crate) revision: u64,
    /// Its open client connections.
    pub(crate) connections: usize,
    /// Its requests in flight.
    pub(crate) in_flight: usize,
    /// Its requests by domain and tag, with how many of them are WebSockets.
    pub(crate) tags: HashMap<(String, String), (usize, usize)>,
    /// Its requests by the id of their backend.
    pub(crate) backends: HashMap<String, usize>,
}

/// A process that was replaced, and has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Replaced {
    /// Its process id.
    pub(crate) pid: u32,
    /// When it was replaced, in milliseconds since the Unix epoch.
    pub(crate) since_ms: u64,
    /// None until it has said anything.
    pub(crate) remains: Option<Remains>,
}

/// The processes that were replaced by this one, or by those before it, and serve what they have. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Elsewhere {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    processes: Mutex<Vec<Replaced>>,
    /// One has said something, or has ended.
    heard: Condvar,
}

impl Elsewhere {
    /// One more process was replaced.
    pub(crate) fn add(&self, pid: u32, since_ms: u64) {
        self.shared.processes.lock().push(Replaced { pid, since_ms, remains: None });
    }

    /// A process says what still runs there.
    pub(crate) fn set(&self, pid: u32, remains: Remains) {
        let mut processes = self.shared.processes.lock();
        if let Some(of) = processes.iter_mut().find(|of| of.pid == pid) {
            of.remains = Some(remains);
        }
        drop(processes);
        self.shared.heard.notify_all();
    }

    /// A process has ended. Returns whether it was the last.
    pub(crate) fn remove(&self, pid: u32) -> bool {
        let mut processes = self.shared.processes.lock();
        processes.retain(|of| of.pid != pid);
        let is_last = processes.is_empty();
        drop(processes);
        self.shared.heard.notify_all();
        is_last
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<Replaced> {
        self.shared.processes.lock().clone()
    }

    /// Requests of a domain on a tag, and how many of them are WebSockets, in processes that know of `revision`. One
    /// of one that doesn't.
    pub(crate) fn on_tag(&self, domain: &str, tag: &str, revision: u64) -> (usize, usize) {
        self.sum(revision, |remains| {
            let key = (domain.to_owned(), tag.to_owned());
            remains.tags.get(&key).copied().unwrap_or_default()
        })
    }

    /// Requests of a domain on other tags than these, as far as is known.
    pub(crate) fn on_other_tags(&self, domain: &str, tags: &[&str]) -> usize {
        let processes = self.shared.processes.lock();
        let of = |process: &Replaced| match &process.remains {
            None => 1,
            Some(remains) => {
                let is_other = |of: &String, tag: &String| of == domain && !tags.contains(&&**tag);
                let others = remains.tags.iter().filter(|((of, tag), _)| is_other(of, tag));
                others.map(|(_, (requests, _))| requests).sum()
            }
        };
        processes.iter().map(of).sum()
    }

    /// Requests on a backend, in the same way.
    pub(crate) fn on_backend(&self, backend: &str, revision: u64) -> usize {
        let of =
            |remains: &Remains| (remains.backends.get(backend).copied().unwrap_or_default(), 0);
        self.sum(revision, of).0
    }

    fn sum(&self, revision: u64, of: impl Fn(&Remains) -> (usize, usize)) -> (usize, usize) {
        let processes = self.shared.processes.lock();
        let of = processes.iter().map(|process| match &process.remains {
            Some(remains) if remains.revision >= revision => of(remains),
            _ => (1, 0),
        });
        of.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// Waits until a process knows of `revision` or has ended. Returns whether that came within `longest`. Blocks.
    pub(crate) fn wait_for(&self, pid: u32, revision: u64, longest: Duration) -> bool {
        let deadline = Instant::now() + longest;
        let mut processes = self.shared.processes.lock();
        loop {
            let of = processes.iter().find(|of| of.pid == pid);
            let knows = |of: &Replaced| {
                of.remains.as_ref().is_some_and(|remains| remains.revision >= revision)
            };
            if of.is_none_or(knows) {
                return true;
            }
            if self.shared.heard.wait_until(&mut processes, deadline).timed_out() {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_does_not_know_yet_may_still_run_there() {
        let elsewhere = Elsewhere::default();
        assert_eq!(elsewhere.on_tag("a.test", "a", 5), (0, 0));
        elsewhere.add(7, 0);
        assert_eq!(elsewhere.on_tag("a.test", "a", 5), (1, 0), "it has said nothing");
        let mut remains = Remains { revision: 4, ..Remains::default() };
        elsewhere.set(7, remains.clone());
        assert_eq!(elsewhere.on_backend("w", 5), 1, "it doesn't know of the change");
        assert!(!elsewhere.wait_for(7, 5, Duration::from_millis(1)));
        remains.revision = 5;
        remains.tags.insert(("a.test".into(), "a".into()), (3, 2));
        remains.backends.insert("w".into(), 4);
        let waiting = std::thread::spawn({
            let elsewhere = elsewhere.clone();
            move || elsewhere.wait_for(7, 5, Duration::from_mins(1))
        });
        elsewhere.set(7, remains);
        assert!(waiting.join().unwrap());
        assert_eq!(elsewhere.on_tag("a.test", "a", 5), (3, 2));
        assert_eq!(elsewhere.on_tag("a.test", "b", 5), (0, 0));
        assert_eq!(elsewhere.on_backend("w", 5), 4);
        assert!(elsewhere.remove(7));
        assert!(
            elsewhere.wait_for(7, 6, Duration::from_mins(1)),
            "whoever has ended routes nothing"
        );
    }
}
