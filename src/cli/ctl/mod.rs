//! `vhost ctl`: operates a running server over its admin socket. One file per noun.

mod backend;
mod backend_view;
mod connect;
mod domain;
mod explain;
mod history;
mod status;
mod switch;
mod switch_progress;
#[cfg(test)]
mod tests;
mod verb;

pub use verb::{CtlArgs, run};
