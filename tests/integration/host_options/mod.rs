//! What a domain does about requests beyond sending them to its live tag.

mod canonical;
mod headers;
mod maintenance;
mod paths;

use crate::harness::*;

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
