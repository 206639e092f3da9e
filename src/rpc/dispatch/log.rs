//! The methods on the log.

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, write};
use crate::model::LogLevel;
use crate::rpc::methods::log::{self, LevelInfo, LevelParams};

impl Dispatch {
    pub(super) fn log_level(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let LevelParams { level } = read(params)?;
        let handle = &self.facts.log_level;
        let before = handle.level();
        if let Some(level) = level.filter(|level| *level != before) {
            let tell = || {
                let (actor, request_id) = (&call.actor, call.request_id.as_str());
                tracing::info!(%actor, request_id, from = %before, to = %level, "log level changed");
            };
            // It is told by the wordier of the two.
            let is_wordier = LogLevel::ALL
                .iter()
                .find(|known| [level, before].contains(known))
                .is_some_and(|wordier| *wordier == level);
            if !is_wordier {
                tell();
            }
            handle.set(level);
            if is_wordier {
                tell();
            }
        }
        write::<log::Level>(&LevelInfo { level: handle.level(), before, config: handle.declared() })
    }
}
