//! The hooks that there are: whoever may be asked before a change is made, and may refuse it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use super::ControlError;
use super::checks::CheckError;
use crate::model::SwitchOptions;

/// Asks a hook about a change; the error says why it does not agree. Given by the server, so that control need not
/// know how hooks are called.
pub(crate) type AskHook =
    Arc<dyn Fn(Value) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// The hooks of the config file, by name.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Arc<[(String, AskHook)]>);

impl Hooks {
    /// These hooks.
    pub(crate) fn new(hooks: impl IntoIterator<Item = (String, AskHook)>) -> Self {
        Self(hooks.into_iter().collect())
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn find(&self, name: &str) -> Result<&AskHook, ControlError> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, ask)| ask);
        found.ok_or_else(|| ControlError::UnknownHook { hook: name.into(), known: self.names() })
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooks").field(&self.names()).finish()
    }
}

/// Refuses hooks of a command that asks none.
///
/// # Errors
/// When there are some.
pub(crate) fn without_hooks(
    verb: &'static str,
    options: &SwitchOptions,
) -> Result<(), ControlError> {
    if options.before.is_empty() { Ok(()) } else { Err(ControlError::NoHooks { verb }) }
}

/// Refuses hooks and smoke requests of a command that makes no tag live for the first time.
///
/// # Errors
/// When there are some.
pub(crate) fn without_checks(
    verb: &'static str,
    options: &SwitchOptions,
) -> Result<(), ControlError> {
    without_hooks(verb, options)?;
    if options.smoke.is_none() { Ok(()) } else { Err(CheckError::NoSmoke { verb }.into()) }
}
