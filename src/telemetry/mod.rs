//! Logging: which lines are written, their format and their output. Metrics are elsewhere.

mod access_log;
mod error;
mod fields;
mod level;
mod log;
mod log_file;
mod sampling;
mod sink;

pub use access_log::{
    AccessField, AccessLine, AccessLog, AccessLogSettings, FieldRow, Headers, LineLayout,
};
pub(crate) use access_log::{AnswerKeeper, KeptHeaders, LoggedHeader};
pub use error::TelemetryError;
pub use level::LevelHandle;
pub use log::{LogHandle, TelemetryGuard, check_files, init};
pub(crate) use log_file::never_rotate;
