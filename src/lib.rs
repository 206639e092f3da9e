//! `vhost`, an edge proxy that moves live traffic between versions of a web application.
//!
//! The rooms, in the direction in which data flows:
//! [`cli`] → `rpc::client` ⇒ `rpc::server` → [`control`] → [`state`] → [`proxy`].
//! [`model`] holds the values that all of them share; [`store`] persists what control decides;
//! [`health`] watches backends; [`stats`] remembers what was counted lately; [`exposition`] tells
//! Prometheus all of it; [`acme`] talks to CAs; [`server`] puts everything together.

// They panic when nobody reads what they print.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod accept;
pub mod acme;
mod atomic_file;
mod backup;
mod certs;
pub mod cli;
pub mod clock;
mod config;
mod control;
mod counters;
mod crash_point;
mod demo;
mod exposition;
mod hand_over;
mod heads;
mod health;
mod https_client;
pub mod link;
pub mod model;
mod notify;
mod own_program;
pub mod places;
mod plain_file;
pub mod proxy;
mod reserved_paths;
pub mod rest;
mod rollout;
pub mod rpc;
mod server;
mod slow_reader;
pub mod stable_hash;
pub mod state;
mod stats;
mod store;
mod sync;
pub mod telemetry;
pub mod tls;
mod tokens;
mod translate;
mod upstream;
mod wrapped;
