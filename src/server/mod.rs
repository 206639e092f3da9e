//! The composition root: config → rooms → runtimes and listeners → run → drain. No policy.

mod activation;
mod aftermath;
mod carried;
mod error;
mod expose;
mod https;
mod listen;
mod logs;
mod management;
mod predecessor;
mod preflight;
mod process;
mod program;
mod prove;
mod replaced;
mod saved;
mod secrets;
mod settle;
mod smoke;
mod sockets;
mod start;
mod stop;
#[cfg(test)]
mod tests;
mod upgrade;
mod watch;

pub(crate) use error::ServerError;

pub(crate) use logs::Logs;
pub(crate) use predecessor::Predecessor;
pub(crate) use preflight::{Missing, preflight};
pub(crate) use start::Server;
pub(crate) use upgrade::{TakenOver, Upgrades};

pub(crate) use crate::control::{Configuration, ReloadOptions};
