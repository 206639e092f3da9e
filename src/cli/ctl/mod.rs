//! `vhost ctl`: operates a running server over its admin socket. One file per noun.

mod app;
mod app_view;
mod backend;
mod backend_view;
mod call;
mod cert;
mod cert_files;
mod cert_view;
mod compare;
mod config;
mod confirm;
mod connect;
mod deploy;
mod domain;
mod domain_view;
mod events;
mod explain;
mod figures;
mod flags;
mod guard;
mod history;
mod log;
mod options;
mod pages;
mod plan;
mod preview;
mod reload;
mod rollout;
mod smoke;
mod split;
mod stats;
mod status;
mod switch;
mod switch_progress;
#[cfg(test)]
mod tests;
mod token;
mod top;
mod trial_view;
mod upgrade;
mod verb;
mod wait;

pub(super) use connect::{default_socket, socket_of_environment};
pub(super) use flags::FlagValue;
pub(super) use options::{Given, HasOptions};
pub(super) use verb::{CtlArgs, run};
