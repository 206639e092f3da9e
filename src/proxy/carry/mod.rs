//! How a request is carried: Pingora's phases, the edits of heads on their way, and the proxy's own
//! answers.

mod access_log;
mod answer;
mod arrive;
mod asked;
pub(super) mod claims;
mod end;
pub(super) mod failure;
mod forwarded_field;
mod grpc;
pub(super) mod headers;
pub(super) mod hop;
mod intake;
pub(super) mod leaving;
mod net;
mod pass;
pub(super) mod phases;
mod redirect;
pub(super) mod response;
pub(super) mod retry;
mod sent;
pub(super) mod shared;
pub(super) mod stages;
pub(super) mod target;
mod trace_context;
mod trailers;
mod upstream_head;
mod variables;
mod via;
