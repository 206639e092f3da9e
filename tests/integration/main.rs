//! Drives the real `vhost` against real backends. Each file is one area of behaviour.

mod admin_rpc;
mod admin_socket;
mod balance;
mod cli;
mod completion;
mod config;
mod crash;
mod demo;
mod deploy;
mod follow;
mod harness;
mod health;
mod http1;
mod ipv6;
mod logging;
mod must_do;
mod paging;
mod readme;
mod reload;
mod retry;
mod routing;
mod shutdown;
mod soak;
mod switch;
mod upstream_tls;
mod web_socket;
