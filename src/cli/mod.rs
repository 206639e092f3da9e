//! The command line: arguments → one call → output and exit status.
//!
//! Data goes to stdout, messages to stderr. `ctl` only uses the wire types, nothing of the server.

pub mod args;
pub mod check;
pub mod completions;
pub mod ctl;
pub mod demo;
pub mod exit_code;
pub mod hash_password;
pub mod man;
mod output;
mod problem;
mod progress;
pub mod schema;
pub mod serve;
mod table;
mod time;
mod words;

pub use args::run;
pub use exit_code::ExitCode;
