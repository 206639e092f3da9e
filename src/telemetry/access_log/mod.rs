//! The access log: a line for each request, beside the log.
//!
//! Not by `tracing`: a line costs one allocation, and no request waits until it is written.

mod escape;
mod field;
mod headers;
mod layout;
mod line;
mod log;
mod plain;
mod settings;
mod value;

pub use field::{AccessField, FieldRow};
pub use headers::Headers;
pub(crate) use headers::{AnswerKeeper, KeptHeaders, LoggedHeader};
pub use layout::LineLayout;
pub use line::AccessLine;
pub use log::AccessLog;
pub use settings::AccessLogSettings;
