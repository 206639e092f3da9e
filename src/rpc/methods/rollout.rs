//! Methods on rollouts, and on the guards of switches.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::clock::now_ms;
use crate::control::{TrialError, TrialStep, without_checks};
use crate::model::{
    DomainName, Finding, RolloutOptions, Share, SwitchOptions, SwitchProgress, SwitchReport, Tag,
    TrialEnd, TrialKind, TrialReport, nonzero_millis,
};
use crate::rollout::WaitFor;
use crate::rpc::dispatch::{Call, Dispatch, Failure, to_its_end};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Starts a rollout: checks the new tag and gives it its first share. It goes on by itself.
    Start, "rollout.start", StartParams => SwitchReport, progress SwitchProgress,
        faults [NotFound, Conflict, Unhealthy];
    /// The rollouts and guards that run, and the last that ended.
    List, "rollout.list", ListParams => TrialList, faults [NotFound];
    /// Pauses a rollout: the new tag keeps its share, and is still guarded.
    Pause, "rollout.pause", NameParams => TrialReport, faults [NotFound, Conflict];
    /// Lets a paused rollout go on.
    Resume, "rollout.resume", NameParams => TrialReport, faults [NotFound, Conflict];
    /// Ends a rollout, or a guard: the old tag is live alone again.
    Abort, "rollout.abort", AbortParams => SwitchReport, faults [NotFound, Conflict, Unhealthy];
    /// Waits for the end of a rollout or a guard, and reports how it stands.
    Wait, "rollout.wait", WaitParams => TrialReport, progress TrialReport, faults [NotFound, Timeout];
}

/// What `rollout.start` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartParams {
    /// The domains, or apps, all of whose domains are meant; all change in one step.
    pub domains: Vec<DomainName>,
    /// The new tag. The default is the previous tag, or the other one if there are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// The options of the rollout.
    pub options: RolloutOptions,
}

/// What `rollout.list` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    /// Only those of this domain, or of this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
}

/// The answer of `rollout.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TrialList {
    /// Those that run first, then those that ended; the newest first.
    pub trials: Vec<TrialReport>,
}

/// How a rollout or a guard that runs stands, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TrialStanding {
    /// Its number, the same in the history.
    pub id: u64,
    /// What it is.
    pub kind: TrialKind,
    /// The tag to which a rollback goes.
    pub from: Tag,
    /// The tag that is on trial.
    pub to: Tag,
    /// The share of that tag.
    pub share: Share,
    /// The number of the step that runs, from 1, and of all; absent if it is a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<[usize; 2]>,
    /// Whether it is paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_paused: bool,
    /// In how many milliseconds its step, or the guard, is over; 0 if it waits for more requests.
    pub left_ms: u64,
    /// What its traffic says; absent if it isn't judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&TrialReport> for TrialStanding {
    fn from(report: &TrialReport) -> Self {
        let rollout = report.rollout.as_ref();
        let evidence = report.evidence.as_ref();
        Self {
            id: report.id,
            kind: report.kind,
            from: report.from.clone(),
            to: report.to.clone(),
            share: rollout.map_or(Share::ALL, |rollout| rollout.share),
            step: rollout.map(|rollout| [rollout.step, rollout.steps.get().len()]),
            is_paused: rollout.is_some_and(|rollout| rollout.is_paused),
            left_ms: rollout.map(|rollout| rollout.left_ms).or(report.left_ms).unwrap_or_default(),
            finding: evidence.map(|evidence| evidence.finding),
            reason: evidence.map(|evidence| evidence.reason.clone()),
        }
    }
}

/// What `rollout.pause` and `rollout.resume` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameParams {
    /// The domain, or its app.
    pub domain: DomainName,
}

/// What `rollout.abort` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbortParams {
    /// The domain, or its app.
    pub domain: DomainName,
    /// How the new tag is drained.
    #[serde(default)]
    pub options: SwitchOptions,
}

/// What `rollout.wait` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitParams {
    /// The domain, or its app: the rollout or guard of it that runs, or that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// Its number; needed where no domain is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Whether a rollout that is paused is waited for as well.
    #[serde(default)]
    pub through_pauses: bool,
    /// How long to wait; without it, as long as it takes.
    #[serde(default, deserialize_with = "nonzero_millis", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
}

impl Run for Start {
    async fn run(server: &Dispatch, params: StartParams, call: &Call) -> Answered<Self> {
        let StartParams { domains, tag, options } = params;
        let report = call.reporter::<Self>();
        let (control, caller) = (server.control.clone(), call.caller());
        let started =
            async move { control.start_rollout(caller, domains, tag, options, report).await };
        to_its_end(started).await
    }
}

impl Run for List {
    async fn run(server: &Dispatch, params: ListParams, _: &Call) -> Answered<Self> {
        let mut trials = server.facts.trials.all();
        if let Some(name) = &params.domain {
            let domains = server.control.domains_of(name)?;
            trials.retain(|trial| trial.domains.iter().any(|domain| domains.contains(domain)));
        }
        Ok(TrialList { trials })
    }
}

impl Run for Pause {
    async fn run(server: &Dispatch, params: NameParams, call: &Call) -> Answered<Self> {
        step(server, call, params.domain, TrialStep::Pause { at_ms: now_ms() }).await
    }
}

impl Run for Resume {
    async fn run(server: &Dispatch, params: NameParams, call: &Call) -> Answered<Self> {
        step(server, call, params.domain, TrialStep::Resume { at_ms: now_ms() }).await
    }
}

async fn step(
    server: &Dispatch,
    call: &Call,
    domain: DomainName,
    step: TrialStep,
) -> Result<TrialReport, Failure> {
    let trial = server.control.trial_of(&domain)?;
    let options = SwitchOptions::default();
    server.control.step_trial(call.caller(), trial.id, step, &options).await?;
    server.facts.trials.find(trial.id).ok_or_else(|| gone(domain.to_string()))
}

impl Run for Abort {
    async fn run(server: &Dispatch, params: AbortParams, call: &Call) -> Answered<Self> {
        let AbortParams { domain, options } = params;
        without_checks("abort", &options)?;
        let (trials, caller) = (server.facts.trials.clone(), call.caller());
        let trial = server.control.trial_of(&domain)?;
        to_its_end(async move { trials.end(caller, &trial, TrialEnd::Aborted, options).await })
            .await
    }
}

impl Run for Wait {
    async fn run(server: &Dispatch, params: WaitParams, call: &Call) -> Answered<Self> {
        let WaitParams { domain, id, through_pauses, timeout_ms } = params;
        let trials = &server.facts.trials;
        let name = domain.as_ref().map(ToString::to_string);
        let name = || name.clone().or(id.map(|id| id.to_string())).unwrap_or_default();
        let id = match (id, &domain) {
            (Some(id), _) => id,
            (None, None) => return Err(gone(name())),
            (None, Some(domain)) => {
                let domains = server.control.domains_of(domain)?;
                let of =
                    |trial: &&TrialReport| trial.domains.iter().any(|one| domains.contains(one));
                let all = trials.all();
                all.iter().find(of).map(|trial| trial.id).ok_or_else(|| gone(name()))?
            }
        };
        let wait_for = if through_pauses { WaitFor::End } else { WaitFor::Rest };
        let report = call.reporter::<Self>();
        let waiting = trials.wait(id, wait_for, |now| report(now.clone()));
        let ended = match timeout_ms.map(Duration::from_millis) {
            None => waiting.await,
            Some(time) => timeout(time, waiting)
                .await
                .map_err(|_| Failure::Control(TrialError::Late { name: name(), time }.into()))?,
        };
        ended.ok_or_else(|| gone(name()))
    }
}

fn gone(name: String) -> Failure {
    Failure::Control(TrialError::None { name }.into())
}
