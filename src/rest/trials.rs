//! What requests give about splits, rollouts and previews, and about two tags side by side.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shapes::{Seconds, Switch, without};
use crate::model::{
    DomainName, GuardOptions, RolloutOptions, RolloutSteps, SmokeRequests, SwitchOptions, Tag,
    TagShare,
};
use crate::rpc::methods::compare::CompareParams;
use crate::rpc::methods::preview::MakeParams;
use crate::rpc::methods::rollout::{AbortParams, StartParams};
use crate::rpc::methods::split::{PromoteParams, SetParams};

/// The shares of tags.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "SetParams")]
pub(super) struct Split {
    domain: DomainName,
    /// The shares of tags that change, in percent; the live tag has the rest.
    shares: Vec<TagShare>,
    /// How long a new tag may take to become healthy. The default is `gate_timeout_secs` of `[switch]`.
    timeout_secs: Option<Seconds>,
    /// How long the requests of a tag that has no share any more may take to end. The default is
    /// `drain_timeout_secs` of `[switch]`.
    drain_timeout_secs: Option<Seconds>,
    /// Whether to answer only when those requests have ended.
    #[serde(default = "yes")]
    drain: bool,
    /// Go on without the gate.
    #[serde(default)]
    force: bool,
    /// A text for the history.
    reason: Option<String>,
}

/// The parameters of a promotion: those of a switch. Without a tag it is the one that has a share.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Switch", into = "PromoteParams")]
#[schemars(transform = without_guard)]
pub(super) struct Promote(Switch);

/// A rollout to start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "StartParams")]
pub(super) struct Rollout {
    domain: DomainName,
    /// The new tag. The default is the previous tag, or the other one if there are two.
    tag: Option<Tag>,
    /// Its steps.
    steps: RolloutSteps,
    /// How long a step may wait for enough requests after its own time. The default is an hour.
    max_wait_secs: Option<Seconds>,
    /// Whether nothing judges the new tag: each step ends by its time alone.
    #[serde(default)]
    unguarded: bool,
    /// By what the new tag is judged.
    #[serde(default)]
    guard: GuardOptions,
    /// How long the new tag may take to become healthy. The default is `gate_timeout_secs` of `[switch]`.
    timeout_secs: Option<Seconds>,
    /// Go on without the gate.
    #[serde(default)]
    force: bool,
    /// A text for the history.
    reason: Option<String>,
    /// Requests that each new backend must answer as expected, before the new tag gets its first share.
    smoke: Option<SmokeRequests>,
    /// The hooks of the config file that are asked after the gate, in this order; up to 4. If one refuses, nothing
    /// changes.
    #[serde(default)]
    before: Vec<String>,
}

/// How a rollout or a guard is ended. All are optional.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "AbortParams")]
pub(super) struct Abort {
    domain: DomainName,
    /// How long the new tag's requests may take to end. The default is `drain_timeout_secs` of `[switch]`.
    drain_timeout_secs: Option<Seconds>,
    /// Whether to answer only when those requests have ended.
    #[serde(default = "yes")]
    drain: bool,
    /// A text for the history.
    reason: Option<String>,
}

/// A new preview.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "MakeParams")]
pub(super) struct NewPreview {
    domain: DomainName,
    /// The tag.
    tag: Tag,
    /// How long it lasts, up to 30 days. The default is an hour.
    time_secs: Option<Seconds>,
}

/// Two tags to compare, as a query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "CompareParams")]
pub(super) struct Compare {
    domain: DomainName,
    /// The one tag. The default is the live one; while something is on trial, the tag to which it would go back.
    old: Option<Tag>,
    /// The other tag. The default is the tag on trial; else the one that has a share; else the previous one, or the
    /// other one if there are two.
    new: Option<Tag>,
    /// The time that the figures cover, up to ten minutes. That is the default too.
    last_secs: Option<Seconds>,
}

fn yes() -> bool {
    true
}

/// Takes out of a schema what only a switch has.
pub(super) fn without_guard(schema: &mut schemars::Schema) {
    without(schema, "guard");
    without(schema, "before");
}

impl From<Split> for SetParams {
    fn from(split: Split) -> Self {
        let Split { domain, shares, timeout_secs, drain_timeout_secs, drain, force, reason } =
            split;
        let options = SwitchOptions {
            timeout_ms: timeout_secs.map(Seconds::millis),
            drain_timeout_ms: drain_timeout_secs.map(Seconds::millis),
            no_drain: !drain,
            force,
            reason,
            ..SwitchOptions::default()
        };
        Self { domains: vec![domain], shares, options }
    }
}

impl From<Switch> for Promote {
    fn from(switch: Switch) -> Self {
        Self(switch)
    }
}

impl From<Promote> for PromoteParams {
    fn from(Promote(switch): Promote) -> Self {
        let (domain, tag) = (switch.domain.clone(), switch.tag.clone());
        Self { domain, tag, options: switch.options() }
    }
}

impl From<Rollout> for StartParams {
    fn from(rollout: Rollout) -> Self {
        let switch = SwitchOptions {
            timeout_ms: rollout.timeout_secs.map(Seconds::millis),
            force: rollout.force,
            reason: rollout.reason,
            smoke: rollout.smoke,
            before: rollout.before,
            ..SwitchOptions::default()
        };
        let options = RolloutOptions {
            steps: rollout.steps,
            max_wait_ms: rollout.max_wait_secs.map(Seconds::millis),
            unguarded: rollout.unguarded,
            guard: rollout.guard,
            switch,
        };
        Self { domains: vec![rollout.domain], tag: rollout.tag, options }
    }
}

impl From<Abort> for AbortParams {
    fn from(abort: Abort) -> Self {
        let Abort { domain, drain_timeout_secs, drain, reason } = abort;
        let options = SwitchOptions {
            drain_timeout_ms: drain_timeout_secs.map(Seconds::millis),
            no_drain: !drain,
            reason,
            ..SwitchOptions::default()
        };
        Self { domain, options }
    }
}

impl From<NewPreview> for MakeParams {
    fn from(NewPreview { domain, tag, time_secs }: NewPreview) -> Self {
        Self { domain, tag, time_ms: time_secs.map(Seconds::millis) }
    }
}

impl From<Compare> for CompareParams {
    fn from(Compare { domain, old, new, last_secs }: Compare) -> Self {
        Self { domain, old, new, last_ms: last_secs.map(Seconds::millis) }
    }
}
