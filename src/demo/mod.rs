//! The tour: a proxy, four small backends, traffic, a switch under it, and back again.
//!
//! Everything is real: the server as `vhost serve` starts it, HTTPS with a certificate of its own CA,
//! backends behind sockets, a switch over the admin socket. Only the process is one.

mod backend;
mod report;
mod rollout;
mod stage;
mod tour;
mod traffic;

pub(crate) use rollout::run as run_rollouts;
pub(crate) use tour::{DemoOutcome, run};
