//! Drives the real `vhost` against real backends. Each file is one area of behaviour.

mod admin_socket;
mod balance;
mod cli;
mod config;
mod crash;
mod demo;
mod exit_status;
mod explain;
mod follow;
mod harness;
mod health;
mod http1;
mod ipv6;
mod logging;
mod must_do;
mod plan;
mod readme;
mod retry;
mod routing;
mod shutdown;
mod soak;
mod switch;
mod upstream_tls;
mod web_socket;
