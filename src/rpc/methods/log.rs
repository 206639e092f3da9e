//! Methods on the server's log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method;
use crate::model::LogLevel;

method!(/// The level of the log; sets it where one is given. It holds until the server ends, or until the
    /// config says another one than before.
    Level, "log.level", LevelParams => LevelInfo);

/// What `log.level` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelParams {
    /// The level to log from; the one now stays when not given.
    #[serde(default)]
    pub level: Option<LogLevel>,
}

/// The level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelInfo {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// What it was before the call.
    pub before: LogLevel,
    /// What the config says.
    pub config: LogLevel,
}
