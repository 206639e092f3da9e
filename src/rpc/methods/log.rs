//! Methods on the server's log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::LogLevel;
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Answers with the level of the log, and sets it if one is given. That lasts until the server ends, or
    /// until a reload of a config in which the level has changed.
    Level, "log.level", LevelParams => LevelInfo;
}

/// What `log.level` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LevelParams {
    /// The new level. Without it, nothing is changed.
    pub level: Option<LogLevel>,
}

/// The level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LevelInfo {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// The level before the call.
    pub before: LogLevel,
    /// The level in the config.
    pub config: LogLevel,
}

impl Run for Level {
    async fn run(server: &Dispatch, params: LevelParams, call: &Call) -> Answered<Self> {
        let LevelParams { level } = params;
        let handle = &server.facts.log_level;
        let before = handle.level();
        if let Some(level) = level.filter(|level| *level != before) {
            let log = || {
                let (actor, request_id) = (&call.actor, call.request_id.as_str());
                tracing::info!(%actor, request_id, from = %before, to = %level, "log level changed");
            };
            // At the more verbose of the two levels, so that it isn't lost.
            let is_more_verbose = LogLevel::ALL
                .iter()
                .find(|known| [level, before].contains(known))
                .is_some_and(|verbose| *verbose == level);
            if !is_more_verbose {
                log();
            }
            handle.set(level);
            if is_more_verbose {
                log();
            }
        }
        Ok(LevelInfo { level: handle.level(), before, config: handle.declared() })
    }
}
