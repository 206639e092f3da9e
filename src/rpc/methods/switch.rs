//! Methods that move a domain to another tag.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::{SwitchTarget, without_checks};
use crate::model::{DomainName, SwitchOptions, SwitchPlan, SwitchProgress, SwitchReport, Tag};
use crate::rpc::dispatch::{Call, Dispatch, Failure, to_its_end};
use crate::rpc::method::Method;
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Shows what `switch.start` would do, as far as is known now. It changes nothing and probes nothing. The
    /// plan is kept for a day, so that `switch.apply` can make it; the last 100 are.
    Plan, "switch.plan", StartParams => SwitchPlan, faults [NotFound, Conflict];
    /// Makes a planned switch, unless something that it depends on has changed: its domains, or the backends
    /// of their old and new tags.
    Apply, "switch.apply", ApplyParams => SwitchReport, progress SwitchProgress,
        faults [NotFound, Conflict, Unhealthy];
    /// Moves domains to a tag: checks it, switches all in one step, and drains the old tags.
    Start, "switch.start", StartParams => SwitchReport, progress SwitchProgress,
        faults [NotFound, Conflict, Unhealthy];
    /// Moves a domain, or all domains of an app, back to the previous tag, through the same gate.
    Undo, "switch.undo", UndoParams => SwitchReport, progress SwitchProgress,
        faults [NotFound, Conflict, Unhealthy];
}

/// What `switch.start` and `switch.plan` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartParams {
    /// The domains, or apps, all of whose domains are meant; all move in one step.
    pub domains: Vec<DomainName>,
    /// The tag to move to. The default is the previous tag, or the other one if there are two.
    pub tag: Option<Tag>,
    /// The options of the switch.
    #[serde(default)]
    pub options: SwitchOptions,
}

/// What `switch.apply` and `app.apply_deploy` take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyParams {
    /// The plan's token.
    pub token: String,
}

/// What `switch.undo` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoParams {
    /// The domain to move back, or an app, all of whose domains are meant.
    pub domain: DomainName,
    /// The options of the switch.
    #[serde(default)]
    pub options: SwitchOptions,
}

impl Run for Plan {
    async fn run(server: &Dispatch, params: StartParams, _: &Call) -> Answered<Self> {
        let StartParams { domains, tag, options } = params;
        Ok(server.control.plan_switch(&domains, &target(tag), options).await?)
    }
}

impl Run for Apply {
    async fn run(server: &Dispatch, params: ApplyParams, call: &Call) -> Answered<Self> {
        let ApplyParams { token } = params;
        let report = call.reporter::<Self>();
        let (control, caller) = (server.control.clone(), call.caller());
        to_its_end(async move { control.switch_as_planned(caller, &token, report).await }).await
    }
}

impl Run for Start {
    async fn run(server: &Dispatch, params: StartParams, call: &Call) -> Answered<Self> {
        let StartParams { domains, tag, options } = params;
        switch::<Self>(server, call, domains, target(tag), options).await
    }
}

impl Run for Undo {
    async fn run(server: &Dispatch, params: UndoParams, call: &Call) -> Answered<Self> {
        let UndoParams { domain, options } = params;
        without_checks("undo", &options)?;
        switch::<Self>(server, call, vec![domain], SwitchTarget::Previous, options).await
    }
}

fn target(tag: Option<Tag>) -> SwitchTarget {
    tag.map_or(SwitchTarget::Other, SwitchTarget::Tag)
}

async fn switch<M: Method<Progress = SwitchProgress>>(
    server: &Dispatch,
    call: &Call,
    domains: Vec<DomainName>,
    target: SwitchTarget,
    options: SwitchOptions,
) -> Result<SwitchReport, Failure> {
    let report = call.reporter::<M>();
    let (control, caller) = (server.control.clone(), call.caller());
    let switched = async move { control.switch(caller, domains, target, options, report).await };
    to_its_end(switched).await
}
