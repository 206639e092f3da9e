//! Who is notified of events, and who is asked before a switch.
//!
//! Each target has a queue and a task of its own, so one that hangs delays no other. What came of the events is
//! in the history; how far each target has come in it is kept in a file, so that a restart goes on from there.
//! Nothing here is on the request path, and no switch waits for a target.

mod backoff;
mod call;
mod error;
mod hooks;
mod keeper;
mod message;
mod notifier;
mod outstanding;
mod payload;
mod places;
mod post;
mod program;
mod signature;
mod target;

pub(crate) use error::NotifyError;
pub(crate) use hooks::hooks;
pub(crate) use notifier::{Notifier, TargetFacts};
