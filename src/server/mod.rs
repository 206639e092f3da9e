//! The composition root: config → rooms → runtimes and listeners → run → drain. No policy.

mod error;
mod expose;
mod https;
mod listen;
mod logs;
mod management;
mod preflight;
mod process;
mod saved;
mod secrets;
mod settle;
mod start;
mod stop;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use error::ServerError;

pub(crate) use logs::Logs;
pub(crate) use preflight::{Missing, preflight};
pub(crate) use start::Server;

pub(crate) use crate::control::{Configuration, ReloadOptions};
