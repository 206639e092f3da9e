//! How a backend is reached through Pingora: the one place where it becomes an `HttpPeer`, and
//! where Pingora's errors become text, so that probes and traffic do the same and report the same.
//! Time-outs are set by the caller.

mod announce;
mod answer;
mod peer;
mod reason;
mod request;
mod unprocessed;
mod upgrade;

pub(crate) use announce::announce;
pub(crate) use answer::check_answer;
pub(crate) use peer::{check_http1, for_duplex, is_http1, peer, speaks_only_http1};
pub(crate) use reason::{failure, io_reason, reason};
pub(crate) use request::to_http2;
pub(crate) use unprocessed::is_unprocessed;
pub(crate) use upgrade::for_upgrade;
