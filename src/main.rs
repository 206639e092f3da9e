//! The `vhost` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pingora_vhost::cli::run(std::env::args_os()).into()
}
