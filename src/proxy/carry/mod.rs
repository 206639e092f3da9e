//! How a request is carried: Pingora's phases, the edits of heads on their way, and the proxy's own
//! answers.

mod access_log;
mod admit;
mod answer;
pub(super) mod claims;
mod context;
pub(super) mod failure;
mod grpc;
pub(super) mod headers;
mod intake;
pub(super) mod phases;
mod redirect;
mod routing;
mod trace_context;
mod via;
