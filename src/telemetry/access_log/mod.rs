//! The access log: a line for each request, beside the log.
//!
//! Not by `tracing`: a line costs one allocation, and no request waits until it is written.

mod escape;
mod json;
mod line;
mod log;
mod plain;

pub use line::AccessLine;
pub use log::AccessLog;
