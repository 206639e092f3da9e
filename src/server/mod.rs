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

pub use error::ServerError;
pub(crate) use listen::Listener;
pub use logs::Logs;
pub use preflight::{Missing, preflight};
pub use start::Server;
pub use stop::Stopped;

pub use crate::control::{Configuration, ReloadOptions};
