//! Methods on the shares of tags.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::{without_checks, without_hooks};
use crate::model::{
    DomainName, SplitReport, SwitchOptions, SwitchProgress, SwitchReport, Tag, TagShare, TrialEnd,
};
use crate::rpc::dispatch::{Call, Dispatch, to_its_end};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Gives tags of domains their shares, in percent; the live tag has the rest. A tag that had none is checked
    /// first, and one that has none any more is drained.
    Set, "split.set", SetParams => SplitReport, progress SwitchProgress,
        faults [NotFound, Conflict, Unhealthy];
    /// Makes the tag that has a share, or that is being rolled out, live alone.
    Promote, "split.promote", PromoteParams => SwitchReport, progress SwitchProgress,
        faults [NotFound, Conflict, Unhealthy];
}

/// What `split.set` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetParams {
    /// The domains, or apps, all of whose domains are meant; all change in one step.
    pub domains: Vec<DomainName>,
    /// The shares of tags that change.
    pub shares: Vec<TagShare>,
    /// How tags are checked and drained.
    #[serde(default)]
    pub options: SwitchOptions,
}

/// What `split.promote` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromoteParams {
    /// The domain, or an app, all of whose domains are meant.
    pub domain: DomainName,
    /// The tag; needed only where several have a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// How the tag is checked and the old one drained.
    #[serde(default)]
    pub options: SwitchOptions,
}

impl Run for Set {
    async fn run(server: &Dispatch, params: SetParams, call: &Call) -> Answered<Self> {
        let SetParams { domains, shares, options } = params;
        without_hooks("split", &options)?;
        let report = call.reporter::<Self>();
        let (control, caller) = (server.control.clone(), call.caller());
        to_its_end(async move { control.split(caller, domains, shares, options, report).await })
            .await
    }
}

impl Run for Promote {
    async fn run(server: &Dispatch, params: PromoteParams, call: &Call) -> Answered<Self> {
        let PromoteParams { domain, tag, options } = params;
        without_checks("promote", &options)?;
        let (control, caller, trials) =
            (server.control.clone(), call.caller(), server.facts.trials.clone());
        if let Ok(trial) = control.trial_of(&domain)
            && tag.as_ref().is_none_or(|tag| *tag == trial.to)
        {
            let promoted =
                async move { trials.end(caller, &trial, TrialEnd::Promoted, options).await };
            return to_its_end(promoted).await;
        }
        let report = call.reporter::<Self>();
        to_its_end(async move { control.promote(caller, domain, tag, options, report).await }).await
    }
}
