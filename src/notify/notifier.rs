//! The targets, for those who look after them and those who ask.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::NotifyError;
use super::call::call;
use super::message;
use super::places::FILE;
use super::target::{Failing, Target};
use crate::clock::{now_ms, time};
use crate::config::{CallBy, NotifySettings};
use crate::counters::Metrics;
use crate::model::NotifyKind;

/// How long a target fails until people are warned: most failures end before.
const WARN_AFTER: Duration = Duration::from_mins(1);

/// Everybody who is notified of events. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Notifier {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    targets: Mutex<Vec<Arc<Target>>>,
    /// Wakes the keeper when there are other targets.
    pub(super) changed: watch::Sender<()>,
    /// Wakes the keeper when a target has come further.
    pub(super) progressed: Arc<Notify>,
    pub(super) file: PathBuf,
    /// The name of this machine.
    pub(super) server: Option<String>,
    metrics: Arc<Metrics>,
}

/// A target as it is shown.
#[derive(Debug)]
pub(crate) struct TargetFacts {
    /// Its name.
    pub name: String,
    /// Whether it is a program.
    pub is_program: bool,
    /// The kinds of events that it gets.
    pub events: Vec<NotifyKind>,
    /// Events that it has not got yet.
    pub waiting: u64,
    /// Events that it got.
    pub delivered: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Events that it never gets.
    pub dropped: u64,
    /// When it last got one, in milliseconds since the Unix epoch.
    pub delivered_ms: Option<u64>,
    /// Since when it has failed, in milliseconds since the Unix epoch.
    pub failing_since_ms: Option<u64>,
    /// Why it failed at last.
    pub last_error: Option<String>,
}

/// What came of a test.
#[derive(Debug)]
pub(crate) struct Tested {
    /// What the target answered, or why it failed.
    pub answer: Result<String, String>,
    /// How long it took.
    pub took: Duration,
}

impl Notifier {
    /// The targets of a config; `state_dir` is where it is kept how far each has come.
    pub(crate) fn new(
        settings: Vec<NotifySettings>,
        state_dir: &Path,
        metrics: Arc<Metrics>,
    ) -> Self {
        let inner = Inner {
            targets: Mutex::default(),
            changed: watch::Sender::default(),
            progressed: Arc::default(),
            file: state_dir.join(FILE),
            server: host_name(),
            metrics,
        };
        let notifier = Self { inner: Arc::new(inner) };
        notifier.set(settings);
        notifier
    }

    /// Puts other settings into effect. A target that stays, by its name, keeps what it is still to get.
    pub(crate) fn set(&self, settings: Vec<NotifySettings>) {
        let inner = &self.inner;
        let mut targets = inner.targets.lock();
        let before = std::mem::take(&mut *targets);
        for of in settings {
            let name = &of.callee.name;
            if let Some(known) = before.iter().find(|target| target.name == *name) {
                known.set(of);
                targets.push(Arc::clone(known));
            } else {
                let counts = inner.metrics.notified.of(name);
                targets.push(Arc::new(Target::new(of, counts, Arc::clone(&inner.progressed))));
            }
        }
        for gone in before.iter().filter(|of| targets.iter().all(|now| now.name != of.name)) {
            inner.metrics.notified.remove(&gone.name);
        }
        drop(targets);
        inner.changed.send_replace(());
    }

    /// All targets, in the order of the config.
    pub(crate) fn list(&self) -> Vec<TargetFacts> {
        self.targets().iter().map(|target| facts(target)).collect()
    }

    /// Sends a test to the target of this name, beside what it is still to get.
    ///
    /// # Errors
    /// When there is no such target.
    pub(crate) async fn test(&self, name: &str) -> Result<Tested, NotifyError> {
        let targets = self.targets();
        let Some(target) = targets.iter().find(|target| target.name == name) else {
            let known = targets.iter().map(|target| target.name.clone()).collect();
            return Err(NotifyError::UnknownTarget { name: name.to_owned(), known });
        };
        let begun = Instant::now();
        let payload = message::test(self.inner.server.as_deref());
        let answer = call(&target.settings().callee, &payload).await;
        if answer.is_ok() {
            target.note_success();
        }
        let answer = answer.map_err(|refusal| refusal.in_full());
        Ok(Tested { answer, took: begun.elapsed() })
    }

    /// The targets that have failed for a while.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |target: &Arc<Target>| warning(&target.name, &target.failing()?, now_ms());
        self.targets().iter().filter_map(warning).collect()
    }

    pub(super) fn targets(&self) -> Vec<Arc<Target>> {
        self.inner.targets.lock().clone()
    }
}

fn facts(target: &Target) -> TargetFacts {
    use std::sync::atomic::Ordering::Relaxed;
    let (settings, counts, failing) = (target.settings(), &target.counts, target.failing());
    TargetFacts {
        name: target.name.clone(),
        is_program: matches!(settings.callee.by, CallBy::Exec(_)),
        events: settings.events.clone(),
        waiting: counts.waiting.load(Relaxed),
        delivered: counts.delivered.load(Relaxed),
        failed: counts.failed.load(Relaxed),
        dropped: counts.dropped.load(Relaxed),
        delivered_ms: target.delivered_ms(),
        failing_since_ms: failing.as_ref().map(|failing| failing.since_ms),
        last_error: failing.map(|failing| failing.reason),
    }
}

/// What people are warned of, once it has failed for long enough.
fn warning(name: &str, failing: &Failing, now_ms: u64) -> Option<String> {
    let for_ms = now_ms.saturating_sub(failing.since_ms);
    let since = humantime::format_rfc3339_seconds(time(failing.since_ms));
    (u128::from(for_ms) > WARN_AFTER.as_millis())
        .then(|| format!("notify: `{name}` has failed since {since}: {}", failing.reason))
}

/// The name of this machine, for receivers of several.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_has_failed_for_more_than_a_minute_is_a_warning() {
        let failing = Failing { since_ms: 1000, reason: "it answered 503".to_owned() };
        assert_eq!(warning("chat", &failing, 61_000), None);
        let warned = warning("chat", &failing, 61_001).unwrap();
        let since = "1970-01-01T00:00:01Z";
        assert_eq!(warned, format!("notify: `chat` has failed since {since}: it answered 503"));
        assert_eq!(warning("chat", &failing, 0), None, "the clock was set back");
    }
}
