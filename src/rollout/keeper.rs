//! The keeper: one task that looks at all trials and takes their steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::course;
use super::report::report;
use super::sight::{Sight, look};
use crate::clock::{now_ms, whole_millis};
use crate::control::{Caller, ControlError, ControlPlane, TrialError, TrialStep};
use crate::counters::Metrics;
use crate::model::{
    Actor, Course, DomainName, Finding, HealthStatus, SwitchOptions, SwitchReport, Trial, TrialEnd,
    TrialReport,
};
use crate::state::{DomainNode, Reader, Snapshot};

/// The time between two looks at a trial.
const LOOK: Duration = Duration::from_millis(200);

/// The time between two looks for previews that are over.
const SWEEP: Duration = Duration::from_secs(10);

/// How long after a trial was moved away it may take until that is noted.
const NOTED_WITHIN: Duration = Duration::from_secs(5);

/// How many trials that have ended are remembered.
const ENDED: usize = 100;

/// How many requests of the old tag it takes to say from when on one is slow.
const ENOUGH_FOR_SLOW: u64 = 200;

/// All trials: those that run, and the last that ended. Clones share everything.
#[derive(Clone)]
pub(crate) struct Trials(Arc<Inner>);

struct Inner {
    control: ControlPlane,
    reader: Reader,
    metrics: Arc<Metrics>,
    /// Those that have ended, the last one at the end. Not on the request path.
    ended: Mutex<VecDeque<TrialReport>>,
    /// Those that take a step at this moment, so that how they ended may not be noted yet.
    ending: Mutex<BTreeSet<u64>>,
    /// How many have ended.
    ends: watch::Sender<u64>,
}

/// A trial takes a step that may end it, until this is dropped.
struct Ending<'a> {
    inner: &'a Inner,
    id: u64,
}

impl<'a> Ending<'a> {
    fn of(inner: &'a Inner, id: u64) -> Self {
        inner.ending.lock().insert(id);
        Self { inner, id }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.inner.ending.lock().remove(&self.id);
    }
}

/// For what somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// The end.
    End,
    /// The end, or that a person has to decide.
    Rest,
}

/// A trial that runs, with its domains.
struct Running {
    trial: Trial,
    nodes: Vec<Arc<DomainNode>>,
}

impl Trials {
    pub(crate) fn new(control: ControlPlane, reader: Reader, metrics: Arc<Metrics>) -> Self {
        let (ended, ending, ends) = (Mutex::default(), Mutex::default(), watch::Sender::default());
        Self(Arc::new(Inner { control, reader, metrics, ended, ending, ends }))
    }

    /// Looks after the trials. One process does: the one that writes.
    pub(crate) async fn keep(self) {
        let mut reader = self.0.reader.clone();
        let mut known: BTreeMap<u64, (Trial, BTreeSet<DomainName>)> = BTreeMap::new();
        let mut beside = BTreeSet::new();
        let (mut seen, mut swept) = (Arc::new(Snapshot::default()), None::<Instant>);
        loop {
            let now = self.0.reader.load();
            for (was, is) in now.domains_changed_since(&seen) {
                let Some(host) = is.or(was) else { continue };
                if is.is_some_and(|host| !host.beside.is_empty()) {
                    beside.insert(host.domain.clone());
                } else {
                    beside.remove(&host.domain);
                }
            }
            let running = running(&now, &beside);
            seen = now;
            self.note_superseded(&running, &mut known).await;
            for one in &running {
                self.look_after(&seen, one).await;
            }
            if !beside.is_empty() && swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                if let Err(error) = self.0.control.end_previews().await {
                    tracing::warn!(error = error.in_full(), "previews could not be ended");
                }
            }
            let pause = match (running.is_empty(), beside.is_empty()) {
                (false, _) => Some(LOOK),
                (true, false) => Some(SWEEP),
                (true, true) => None,
            };
            match pause {
                Some(pause) => _ = tokio::time::timeout(pause, reader.changed()).await,
                None if reader.changed().await.is_err() => return,
                None => {}
            }
        }
    }

    /// Takes note of what was ended by somebody who moved its domains.
    async fn note_superseded(
        &self,
        running: &[Running],
        known: &mut BTreeMap<u64, (Trial, BTreeSet<DomainName>)>,
    ) {
        let before = std::mem::take(known);
        for one in running {
            let domains = one.nodes.iter().map(|node| node.virtual_host.domain.clone()).collect();
            known.insert(one.trial.id, (one.trial.clone(), domains));
        }
        for (id, (trial, domains)) in before {
            let is_ending = self.0.ending.lock().contains(&id);
            if known.contains_key(&id) || is_ending || self.find_ended(id).is_some() {
                continue;
            }
            let domains: Vec<_> = domains.into_iter().collect();
            if let Err(error) = self.0.control.record_superseded(&trial, domains.clone()).await {
                tracing::error!(
                    error = error.in_full(),
                    "the end of a trial is not in the history"
                );
            }
            let mut ended = report(&trial, &[], None, now_ms());
            ended.domains = domains;
            self.note_end(ended, TrialEnd::Superseded, None);
        }
    }

    /// Looks at a trial, and takes the step that follows.
    async fn look_after(&self, snapshot: &Snapshot, running: &Running) {
        let Running { trial, nodes } = running;
        let sight = trial.rules.map(|rules| look(snapshot, trial, rules, nodes));
        find_slow(trial, nodes);
        let can_go_back = nodes.iter().all(|node| {
            let pool = snapshot.pool(&node.virtual_host.pool(&trial.from));
            let mut ready = pool.into_iter().flat_map(|pool| pool.ready());
            ready.any(|node| node.live.health() == HealthStatus::Healthy)
        });
        let Some(step) = course::next(trial, sight.as_ref(), can_go_back, now_ms()) else { return };
        let end = match &step {
            TrialStep::End { end, cause } => Some((*end, cause.clone())),
            TrialStep::Alarm { cause, .. } if matches!(trial.course, Course::Guard { .. }) => {
                Some((TrialEnd::Alarm, Some(cause.clone())))
            }
            _ => None,
        };
        let report = report(trial, nodes, sight.as_ref(), now_ms());
        let _ending = Ending::of(&self.0, trial.id);
        match self.take(Actor::Server, trial.id, step).await {
            Ok(true) => {
                if let Some((end, cause)) = end {
                    self.note_end(report, end, cause);
                }
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = error.in_full(), "a trial could not take its step");
            }
        }
    }

    async fn take(&self, actor: Actor, id: u64, step: TrialStep) -> Result<bool, ControlError> {
        // Nothing waits for the drain: the requests of the tag that was left end by themselves.
        let options = SwitchOptions { no_drain: true, ..SwitchOptions::default() };
        Ok(self.0.control.step_trial(actor, id, step, &options).await?.is_some())
    }

    /// Ends a trial as an operator says, and drains the tag that is left.
    ///
    /// # Errors
    /// When it has ended, or can't end so.
    pub(crate) async fn end(
        &self,
        caller: Caller,
        trial: &Trial,
        end: TrialEnd,
        options: SwitchOptions,
    ) -> Result<SwitchReport, ControlError> {
        let report = self.find(trial.id);
        let step = TrialStep::End { end, cause: options.reason.clone() };
        let draining = Instant::now();
        let ending = Ending::of(&self.0, trial.id);
        let ended = self.0.control.step_trial(caller, trial.id, step, &options).await?;
        if let (Some(_), Some(report)) = (&ended, &report) {
            self.note_end(report.clone(), end, options.reason.clone());
        }
        drop(ending);
        let gone = || {
            let domain = report.as_ref().and_then(|report| report.domains.first());
            TrialError::None { name: domain.map(ToString::to_string).unwrap_or_default() }
        };
        let ended = ended.ok_or_else(gone)?;
        Ok(SwitchReport {
            steps: ended.steps,
            unchanged: Vec::new(),
            revision: ended.revision,
            outcome: ended.outcome,
            gate_ms: 0,
            switch_ms: None,
            drain_ms: whole_millis(draining.elapsed()),
            trial: None,
            web_sockets: 0,
            ended_after_ms: None,
        })
    }

    fn note_end(&self, report: TrialReport, end: TrialEnd, cause: Option<String>) {
        let mut ended = self.0.ended.lock();
        if ended.iter().any(|one| one.id == report.id) {
            return;
        }
        let kind = report.kind;
        ended.push_back(TrialReport { end: Some(end), cause, ..report });
        if ended.len() > ENDED {
            ended.pop_front();
        }
        drop(ended);
        self.0.metrics.count_trial_end(kind, end);
        self.0.ends.send_modify(|ends| *ends += 1);
    }

    fn find_ended(&self, id: u64) -> Option<TrialReport> {
        self.0.ended.lock().iter().find(|one| one.id == id).cloned()
    }

    /// Those that run, and the last that ended, the newest first.
    pub(crate) fn all(&self) -> Vec<TrialReport> {
        let snapshot = self.0.reader.load();
        let beside: BTreeSet<_> = snapshot
            .domains()
            .filter(|node| node.has_choice())
            .map(|node| node.virtual_host.domain.clone())
            .collect();
        let now = now_ms();
        let mut all: Vec<_> =
            running(&snapshot, &beside).iter().map(|one| one.report(&snapshot, now)).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.began_ms));
        all.extend(self.0.ended.lock().iter().rev().cloned());
        all
    }

    /// The trial of that number, as it is or as it ended.
    pub(crate) fn find(&self, id: u64) -> Option<TrialReport> {
        let snapshot = self.0.reader.load();
        let is_it =
            |node: &&Arc<DomainNode>| node.on_trial().is_some_and(|on_trial| on_trial.id == id);
        let nodes: Vec<_> = snapshot.domains().filter(is_it).cloned().collect();
        let trial = nodes.first().and_then(|node| node.virtual_host.beside.trial.clone());
        match trial {
            Some(trial) => Some(Running { trial, nodes }.report(&snapshot, now_ms())),
            None => self.find_ended(id),
        }
    }

    /// Waits for the end of a trial, and reports what changes meanwhile. `None` where there is no such trial, or it was
    /// forgotten.
    pub(crate) async fn wait(
        &self,
        id: u64,
        wait_for: WaitFor,
        report: impl Fn(&TrialReport),
    ) -> Option<TrialReport> {
        let mut ends = self.0.ends.subscribe();
        let (mut reported, mut seen): (Option<String>, _) = (None, None);
        loop {
            let Some(now) = self.find(id) else {
                // It is gone; how it ended has just been noted, or is in a moment.
                let is_ending = self.0.ending.lock().contains(&id);
                if let Some(ended) = self.find_ended(id) {
                    return Some(ended);
                }
                if !is_ending && seen.is_none_or(|seen: Instant| seen.elapsed() > NOTED_WITHIN) {
                    return None;
                }
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let is_at_rest = now.rollout.as_ref().is_some_and(|rollout| rollout.is_paused);
            if now.end.is_some() || (wait_for == WaitFor::Rest && is_at_rest) {
                return Some(now);
            }
            seen = Some(Instant::now());
            let gist = gist(&now);
            if reported.as_ref() != Some(&gist) {
                report(&now);
                reported = Some(gist);
            }
            _ = tokio::time::timeout(LOOK, ends.changed()).await;
        }
    }
}

/// What of a trial is worth a report when it changes.
fn gist(report: &TrialReport) -> String {
    let place = report.rollout.as_ref().map(|rollout| (rollout.step, rollout.is_paused));
    let evidence = report.evidence.as_ref();
    let finding: Option<Finding> = evidence.map(|evidence| evidence.finding);
    let requests = evidence.map(|evidence| evidence.new.requests);
    format!("{place:?} {finding:?} {requests:?}")
}

impl fmt::Debug for Trials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trials")
    }
}

impl Running {
    fn report(&self, snapshot: &Snapshot, now: u64) -> TrialReport {
        let Self { trial, nodes } = self;
        let sight: Option<Sight> = trial.rules.map(|rules| look(snapshot, trial, rules, nodes));
        report(trial, nodes, sight.as_ref(), now)
    }
}

/// The trials of these domains.
fn running(snapshot: &Snapshot, beside: &BTreeSet<DomainName>) -> Vec<Running> {
    let mut found: BTreeMap<u64, Running> = BTreeMap::new();
    for node in beside.iter().filter_map(|domain| snapshot.domain(domain)) {
        let Some(trial) = &node.virtual_host.beside.trial else { continue };
        let running = found
            .entry(trial.id)
            .or_insert_with(|| Running { trial: trial.clone(), nodes: Vec::new() });
        running.nodes.push(Arc::clone(node));
    }
    found.into_values().collect()
}

/// Where nothing was known of the old tag's times before, what comes of it now says from when on a request is slow.
fn find_slow(trial: &Trial, nodes: &[Arc<DomainNode>]) {
    let Some(rules) = trial.rules else { return };
    for on_trial in nodes.iter().filter_map(|node| node.on_trial()) {
        if on_trial.new.slow().is_some() {
            continue;
        }
        let cells = on_trial.old.first_byte().cells();
        if cells.total() >= ENOUGH_FOR_SLOW
            && let Some(micros) = super::baseline::slow_micros(&cells, rules.max_p95_ratio)
        {
            on_trial.old.set_slow(micros);
            on_trial.new.set_slow(micros);
        }
    }
}
