//! What a domain does about requests beyond sending them to its live tag.

mod auth;
mod canonical;
mod compression;
mod error_pages;
mod headers;
mod maintenance;
mod paths;
mod pause;
mod sticky;
mod timeouts;

use std::time::Duration;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// A server with one backend, whose one domain has these options, as lines of TOML.
fn with_options(options: &str) -> (Backend, Vhost) {
    let backend = Backend::start("w1");
    let vhost = Setup::new()
        .domain_with("example.com", "a", options)
        .backend("w1", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

/// Sets an option of `example.com`.
#[track_caller]
fn set(vhost: &Vhost, option: &str) {
    vhost.ctl_ok(&["domain", "set", "example.com", "--option", option]);
}

/// Waits until so many requests were refused for this reason: they are counted once they are answered.
#[track_caller]
fn wait_for_refused(vhost: &Vhost, reason: &str, count: u64) {
    eventually(&format!("{count} are refused: {reason}"), SOON, || {
        let state = vhost.rpc("state.get", serde_json::json!({})).expect("state.get answers");
        state["refused"][reason].as_u64().unwrap_or_default() == count
    });
}
