//! Trials: a new tag under a guard, or in a rollout. What begins them is in `begin`; each later step is here. Who
//! decides on the steps is not: an operator, or what watches the traffic.

mod begin;
mod error;

use super::edit::Edit;
use super::{Caller, ControlError, ControlPlane, SwitchTarget, find, plan};
use crate::model::{
    Actor, AppName, Change, Course, DomainName, EventKind, HealthStatus, Outcome, RolloutOptions,
    Share, SwitchOptions, SwitchProgress, SwitchReport, SwitchStep, Tag, Trial, TrialEnd,
    TrialKind, TrialNews, VirtualHost,
};
use crate::state::Snapshot;

pub(crate) use begin::BaselineNow;
pub(super) use begin::Begin;
pub(crate) use error::TrialError;

/// A step of a trial.
#[derive(Debug, Clone)]
pub(crate) enum TrialStep {
    /// A rollout goes on from this step to the next. The number is that of [`crate::model::Rollout::at`].
    Next { from: usize, at_ms: u64 },
    /// A rollout is paused, because the new tag is worse and the old one can't take its place.
    Alarm { cause: String, at_ms: u64 },
    /// An operator pauses a rollout.
    Pause { at_ms: u64 },
    /// An operator lets it go on.
    Resume { at_ms: u64 },
    /// It ends.
    End { end: TrialEnd, cause: Option<String> },
}

/// What a step of a trial came to.
#[derive(Debug)]
pub(crate) struct Stepped {
    /// Each domain with the tag that it has left, and the one that it has now.
    pub steps: Vec<SwitchStep>,
    /// The revision that it led to.
    pub revision: u64,
    /// How the drain ended.
    pub outcome: Outcome,
}

impl ControlPlane {
    /// Starts a rollout: proves the new tag healthy and gives it its first share.
    ///
    /// # Errors
    /// When the domains can't get that tag, or are on trial or split already, or the gate failed; then nothing has
    /// changed.
    pub(crate) async fn start_rollout(
        &self,
        caller: impl Into<Caller> + Send,
        names: Vec<DomainName>,
        tag: Option<Tag>,
        options: RolloutOptions,
        progress: impl Fn(SwitchProgress) + Send + Sync,
    ) -> Result<SwitchReport, ControlError> {
        let caller = caller.into();
        let snapshot = self.snapshot();
        caller.has_seen(snapshot.revision())?;
        let target = tag.map_or(SwitchTarget::Other, SwitchTarget::Tag);
        let plan = plan::plan(&snapshot, &names, &target)?;
        for domain in plan.unchanged.iter().chain(plan.steps.iter().map(|step| &step.domain)) {
            check_free(&find::domain(&snapshot, domain)?.virtual_host)?;
        }
        if let Some(domain) = plan.unchanged.first() {
            let tag = find::domain(&snapshot, domain)?.virtual_host.live.clone();
            return Err(TrialError::Live { domain: domain.clone(), tag }.into());
        }
        if !options.switch.force {
            self.refuse_foreign(&snapshot, &plan.steps).await?;
        }
        let begin = Begin::steps(&options, &self.inner.services.baseline);
        self.carry_out(caller, plan, false, options.switch, None, begin, progress).await
    }

    /// The trial of a domain or an app, with its domains.
    ///
    /// # Errors
    /// When there is none of that name, or nothing of it is on trial.
    pub(crate) fn trial_of(&self, name: &DomainName) -> Result<Trial, ControlError> {
        let snapshot = self.snapshot();
        let trial =
            hosts_of(&snapshot, name)?.into_iter().find_map(|host| host.beside.trial.clone());
        trial.ok_or_else(|| TrialError::None { name: name.to_string() }.into())
    }

    /// The domains that a name stands for: itself, or all of an app.
    ///
    /// # Errors
    /// When there is nothing of that name.
    pub(crate) fn domains_of(&self, name: &DomainName) -> Result<Vec<DomainName>, ControlError> {
        let snapshot = self.snapshot();
        Ok(hosts_of(&snapshot, name)?.into_iter().map(|host| host.domain.clone()).collect())
    }

    /// Takes a step of the trial of that number in all its domains at once. `None` where it runs no more, or the
    /// step was taken already.
    ///
    /// # Errors
    /// When it can't be taken, or not be saved.
    pub(crate) async fn step_trial(
        &self,
        caller: impl Into<Caller> + Send,
        id: u64,
        step: TrialStep,
        options: &SwitchOptions,
    ) -> Result<Option<Stepped>, ControlError> {
        let plan = move |snapshot: &Snapshot| match planned(snapshot, id, &step)? {
            Some((edit, left)) => Ok((Some(edit), left)),
            None => Ok((None, Vec::new())),
        };
        let (applied, steps) = self.change_and(caller, plan).await?;
        let Some(applied) = applied else { return Ok(None) };
        let revision = applied.snapshot.revision();
        if steps.is_empty() || options.no_drain {
            let outcome = if steps.is_empty() { Outcome::Done } else { Outcome::NotDrained };
            return Ok(Some(Stepped { steps, revision, outcome }));
        }
        let left = self.left_tags(&applied.snapshot, &steps);
        let remaining = || left.requests(&self.snapshot());
        let outcome = self.wait_until_drained(&left, remaining, options, |_, _, _| {}).await;
        Ok(Some(Stepped { steps, revision, outcome }))
    }

    /// Adds to the history that a trial was ended by somebody who moved its domains.
    ///
    /// # Errors
    /// When it can't be saved.
    pub(crate) async fn record_superseded(
        &self,
        trial: &Trial,
        domains: Vec<DomainName>,
    ) -> Result<(), ControlError> {
        let news = TrialNews::Ended { end: TrialEnd::Superseded, cause: None };
        self.record(Actor::Server, event(trial, domains, news)).await
    }
}

/// The edit of a step, and which tags are left by it; nothing where the trial runs no more.
fn planned(
    snapshot: &Snapshot,
    id: u64,
    step: &TrialStep,
) -> Result<Option<(Edit, Vec<SwitchStep>)>, ControlError> {
    let mut left = Vec::new();
    let (mut changes, mut domains) = (Vec::new(), Vec::new());
    let mut story = None;
    for node in snapshot.domains() {
        let host = &node.virtual_host;
        let Some(trial) = host.beside.trial.as_ref().filter(|trial| trial.id == id) else {
            continue;
        };
        let Some((next, news)) = stepped(snapshot, host, trial, step)? else { return Ok(None) };
        for tag in host.live_tags().filter(|tag| !next.live_tags().any(|of| of == *tag)) {
            let (domain, from, to) = (host.domain.clone(), tag.clone(), next.live.clone());
            left.push(SwitchStep { domain, from, to });
        }
        domains.push(host.domain.clone());
        changes.push(Change::PutDomain(next));
        story = story.or(Some((trial, news)));
    }
    let Some((trial, news)) = story else { return Ok(None) };
    let edit = Edit::new(changes, event(trial, domains, news));
    Ok(Some((edit, left)))
}

/// A host after a step; nothing where it was taken already.
fn stepped(
    snapshot: &Snapshot,
    host: &VirtualHost,
    trial: &Trial,
    step: &TrialStep,
) -> Result<Option<(VirtualHost, TrialNews)>, ControlError> {
    let paced = |course: Course| {
        let mut next = host.clone();
        next.beside.trial = Some(Trial { course, ..trial.clone() });
        next
    };
    let rollout = match &trial.course {
        Course::Rollout(rollout) => Some(rollout),
        Course::Guard { .. } => None,
    };
    let pausable = || {
        let (domain, to) = (host.domain.clone(), trial.to.clone());
        rollout.ok_or(TrialError::Guarded { domain, to })
    };
    Ok(Some(match step {
        TrialStep::Next { from, at_ms } => {
            let Some(rollout) = rollout.filter(|of| of.at == *from && of.paused_ms.is_none())
            else {
                return Ok(None);
            };
            let Some(share) = rollout.next().map(|step| step.share) else { return Ok(None) };
            let mut next = paced(Course::Rollout(rollout.stepped(*at_ms)));
            // Steps only grow, and nobody else has a share.
            if let Some(split) = &mut next.beside.split
                && let Some(grown) = split.with(&trial.to, share)
            {
                *split = grown;
            }
            (next, TrialNews::Stepped { share })
        }
        TrialStep::Alarm { cause, at_ms } => {
            let cause = cause.clone();
            match rollout {
                Some(rollout) if rollout.paused_ms.is_some() => return Ok(None),
                Some(rollout) => {
                    (paced(Course::Rollout(rollout.paused(*at_ms))), TrialNews::Alarm { cause })
                }
                None => {
                    let mut next = host.clone();
                    next.beside.trial = None;
                    (next, TrialNews::Ended { end: TrialEnd::Alarm, cause: Some(cause) })
                }
            }
        }
        TrialStep::Pause { at_ms } => {
            let rollout = pausable()?;
            if rollout.paused_ms.is_some() {
                let domain = host.domain.clone();
                return Err(TrialError::Pace { domain, is_paused: true }.into());
            }
            (paced(Course::Rollout(rollout.paused(*at_ms))), TrialNews::Paused)
        }
        TrialStep::Resume { at_ms } => {
            let rollout = pausable()?;
            if rollout.paused_ms.is_none() {
                let domain = host.domain.clone();
                return Err(TrialError::Pace { domain, is_paused: false }.into());
            }
            (paced(Course::Rollout(rollout.resumed(*at_ms))), TrialNews::Resumed)
        }
        TrialStep::End { end, cause } => {
            let next = match end {
                TrialEnd::RolledBack | TrialEnd::Aborted => {
                    check_healthy(snapshot, host, &trial.from)?;
                    host.moved_to(&trial.from)
                }
                TrialEnd::Promoted => host.moved_to(&trial.to),
                TrialEnd::Passed
                | TrialEnd::Inconclusive
                | TrialEnd::Alarm
                | TrialEnd::Superseded => {
                    let mut next = host.clone();
                    next.beside.trial = None;
                    next
                }
            };
            (next, TrialNews::Ended { end: *end, cause: cause.clone() })
        }
    }))
}

/// Whether some backend of the tag that a domain would go back to is healthy.
fn check_healthy(snapshot: &Snapshot, host: &VirtualHost, from: &Tag) -> Result<(), ControlError> {
    let pool = snapshot.pool(&host.pool(from));
    let is_healthy = pool
        .into_iter()
        .flat_map(|pool| pool.ready())
        .any(|node| node.live.health() == HealthStatus::Healthy);
    if is_healthy {
        return Ok(());
    }
    Err(TrialError::Unhealthy { domain: host.domain.clone(), from: from.clone() }.into())
}

/// Whether nothing of a host is on trial, and no tag has a share.
pub(super) fn check_free(host: &VirtualHost) -> Result<(), ControlError> {
    let domain = || host.domain.clone();
    if let Some(trial) = &host.beside.trial {
        return Err(TrialError::UnderWay { domain: domain(), to: trial.to.clone() }.into());
    }
    match host.beside.tags().first() {
        Some(tag) => {
            let share: Share = host.beside.share_of(tag);
            Err(TrialError::Split { domain: domain(), tag: Tag::clone(tag), share }.into())
        }
        None => Ok(()),
    }
}

/// The hosts that a name stands for: a domain, or all domains of an app.
pub(super) fn hosts_of<'s>(
    snapshot: &'s Snapshot,
    name: &DomainName,
) -> Result<Vec<&'s VirtualHost>, ControlError> {
    if snapshot.domain(name).is_none()
        && let Ok(app) = name.to_string().parse::<AppName>()
        && let Some(node) = snapshot.app(&app)
    {
        let hosts = node.domains().filter_map(|domain| snapshot.domain(domain));
        return Ok(hosts.map(|node| &node.virtual_host).collect());
    }
    Ok(vec![&find::domain(snapshot, name)?.virtual_host])
}

/// The number of the trial that began with these steps, after which the state is `applied`; nothing where none did.
pub(super) fn trial_of(applied: &Snapshot, steps: &[SwitchStep], id: u64) -> Option<u64> {
    let is_on_trial = |step: &SwitchStep| {
        let host = applied.domain(&step.domain).map(|node| &node.virtual_host);
        host.and_then(|host| host.beside.trial.as_ref()).is_some_and(|trial| trial.id == id)
    };
    steps.iter().any(is_on_trial).then_some(id)
}

/// What it is.
pub(crate) fn kind_of(trial: &Trial) -> TrialKind {
    match trial.course {
        Course::Guard { .. } => TrialKind::Guard,
        Course::Rollout(_) => TrialKind::Rollout,
    }
}

/// An event of a trial.
pub(super) fn event(trial: &Trial, domains: Vec<DomainName>, news: TrialNews) -> EventKind {
    let (from, to) = (trial.from.clone(), trial.to.clone());
    EventKind::Trial { trial_id: trial.id, trial: kind_of(trial), domains, from, to, news }
}
