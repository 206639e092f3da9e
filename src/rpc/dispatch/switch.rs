//! The methods that move domains to another tag.

use std::time::Duration;

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, to_its_end, write};
use crate::control::{SwitchOptions, SwitchTarget};
use crate::model::{DomainName, SwitchProgress, SwitchReport};
use crate::rpc::methods::{Method, switch};

impl Dispatch {
    pub(super) async fn start_switch(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let switch::StartParams { domains, tag, options } = read(params)?;
        let target = tag.map_or(SwitchTarget::Other, SwitchTarget::Tag);
        self.switch::<switch::Start>(call, domains, target, options).await
    }

    pub(super) fn plan_switch(&self, params: Value) -> Result<Value, Failure> {
        let switch::StartParams { domains, tag, options } = read(params)?;
        let target = tag.map_or(SwitchTarget::Other, SwitchTarget::Tag);
        let plan = self.control.plan_switch(&domains, &target, switch_options(options))?;
        write::<switch::Plan>(&plan)
    }

    pub(super) async fn apply_switch(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let switch::ApplyParams { token } = read(params)?;
        let report = call.reporter::<switch::Apply>();
        let (control, caller) = (self.control.clone(), call.caller());
        let report =
            to_its_end(async move { control.switch_as_planned(caller, &token, report).await })
                .await?;
        write::<switch::Apply>(&report)
    }

    pub(super) async fn undo_switch(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let switch::UndoParams { domain, options } = read(params)?;
        let target = SwitchTarget::Previous;
        self.switch::<switch::Undo>(call, vec![domain], target, options).await
    }

    async fn switch<M>(
        &self,
        call: &Call,
        domains: Vec<DomainName>,
        target: SwitchTarget,
        options: switch::SwitchOptions,
    ) -> Result<Value, Failure>
    where
        M: Method<Result = SwitchReport, Progress = SwitchProgress>,
    {
        let options = switch_options(options);
        let report = call.reporter::<M>();
        let (control, caller) = (self.control.clone(), call.caller());
        let report =
            to_its_end(
                async move { control.switch(caller, domains, target, options, report).await },
            )
            .await?;
        write::<M>(&report)
    }
}

fn switch_options(options: switch::SwitchOptions) -> SwitchOptions {
    SwitchOptions {
        timeout: options.timeout_ms.map(Duration::from_millis),
        drain_timeout: options.drain_timeout_ms.map(Duration::from_millis),
        no_drain: options.no_drain,
        force: options.force,
        reason: options.reason,
    }
}
