//! Watches backends: probes each on its own schedule, counts passive failures, resolves names,
//! and publishes the results through each backend's [`BackendLive`](crate::state::BackendLive).
//!
//! Follows the published snapshot and reads nothing else. Never on the request path.

mod change;
mod checker;
mod ejection;
mod exchange;
mod grpc;
mod monitor;
mod pace;
mod patterns;
mod probe;
mod resolver;
#[cfg(test)]
mod testing;
mod threshold;

pub(crate) use change::HealthChange;
pub(crate) use checker::{Checker, HealthSettings, spawn};
