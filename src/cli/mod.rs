//! The command line: arguments → one call → output and exit status.
//!
//! Data goes to stdout, messages to stderr. `ctl` only uses the wire types, nothing of the server.

mod args;
mod check;
mod completions;
mod ctl;
mod demo;
mod exit_code;
mod from;
mod hash_password;
mod init;
mod man;
mod new_file;
mod output;
mod problem;
mod progress;
mod schema;
mod serve;
mod state;
mod table;
mod time;
mod words;

pub use args::run;
pub use exit_code::ExitCode;
