//! The `vhost` command.

#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

/// Reading a large config file takes many times the memory that its domains need. This allocator gives
/// the rest back to the system within seconds, also while the server idles, and however many threads
/// it has; glibc's keeps it.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    vhost::cli::run(std::env::args_os()).into()
}
