//! Asks the hooks of a command.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Caller, ControlError, ControlPlane};
use crate::model::{Actor, BackendId, DeployOptions, DeployedApp, SwitchOptions, SwitchStep};

/// The most hooks that one command asks.
const MAX_HOOKS: usize = 4;

/// What hooks are asked about.
pub(super) struct Proposal<'a> {
    /// `switch`, `deploy` or `rollout`.
    pub(super) command: &'static str,
    pub(super) actor: &'a Actor,
    pub(super) steps: &'a [SwitchStep],
    /// Of a deploy, its apps; else null.
    pub(super) apps: Value,
    /// The backends that the gate has proven; none when it was skipped.
    pub(super) proven: Option<&'a BTreeSet<BackendId>>,
}

impl ControlPlane {
    /// Makes sure that there are these hooks.
    pub(super) fn check_hooks(&self, names: &[String]) -> Result<(), ControlError> {
        if names.len() > MAX_HOOKS {
            return Err(ControlError::TooManyHooks { given: names.len(), most: MAX_HOOKS });
        }
        let hooks = &self.options().hooks;
        names.iter().try_for_each(|name| hooks.find(name).map(drop))
    }

    /// Asks the hooks of a deploy, whose checks have proven these backends, unless they were skipped.
    pub(super) async fn ask_about_deploy(
        &self,
        caller: &Caller,
        options: &DeployOptions,
        apps: &[DeployedApp],
        steps: &[SwitchStep],
        proven: Option<&BTreeSet<BackendId>>,
    ) -> Result<(), ControlError> {
        let proposal =
            Proposal { command: "deploy", actor: &caller.actor, steps, apps: json!(apps), proven };
        self.ask_hooks(&options.switch, &proposal).await
    }

    /// Asks the hooks of a command in turn, until one does not agree.
    pub(super) async fn ask_hooks(
        &self,
        options: &SwitchOptions,
        proposal: &Proposal<'_>,
    ) -> Result<(), ControlError> {
        for name in &options.before {
            let ask = self.options().hooks.find(name)?.clone();
            let answer = ask(json!({
                "hook": name,
                "command": proposal.command,
                "steps": proposal.steps,
                "apps": proposal.apps,
                "actor": proposal.actor,
                "reason": options.reason,
                "forced": options.force,
                "backends": proposal.proven,
            }));
            let asked = async {
                let refused = |reason| ControlError::HookRefused { hook: name.clone(), reason };
                answer.await.map_err(refused)
            };
            self.unless_taken_over(asked).await?;
        }
        Ok(())
    }
}
