//! Limits: each with its status, its reason in the log, and its counter.

mod backends;
mod balance;
mod connections;
mod descriptors;
mod failing;
mod memory;
mod requests;
mod shares;

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

/// One backend behind `example.com`.
fn site(backend: &Backend) -> Setup {
    Setup::new().domain("example.com", "a").backend(backend.id(), backend.address(), &["a"])
}

/// The same, with options of the domain as lines of TOML.
fn site_with(backend: &Backend, options: &str) -> Setup {
    Setup::new().domain_with("example.com", "a", options).backend(
        backend.id(),
        backend.address(),
        &["a"],
    )
}

/// Requests that were refused for this reason so far.
fn refused(vhost: &Vhost, reason: &str) -> u64 {
    let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
    state["refused"][reason].as_u64().unwrap_or(0)
}

/// Waits until so many were, and says how the log tells it.
#[track_caller]
fn wait_for_refused(vhost: &Vhost, reason: &str, count: u64) -> String {
    eventually(&format!("{count} refused for {reason}"), Duration::from_secs(10), || {
        refused(vhost, reason) == count
    });
    vhost.wait_for_log(&format!("reason={reason}")).concat()
}
