//! `vhost schema`: what a config file may say, for editors.

use std::io::{self, Write};

use super::exit_code::ExitCode;
use super::words::say;
use crate::config;

/// Print the JSON Schema of the config file.
///
/// For completion and checks while you type, in editors that know Taplo (Even Better TOML): keep it
/// beside the config, and make `#:schema ./vhost.schema.json` the first line of the config. It fits
/// files that are included too.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  vhost schema > vhost.schema.json")]
pub struct SchemaArgs {}

/// Prints the schema. Returns the exit status.
pub fn run(_: &SchemaArgs) -> u8 {
    match writeln!(io::stdout().lock(), "{:#}", config::schema()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(format_args!("error: cannot write the schema\ncause: {error}"));
            ExitCode::Failed.into()
        }
        _ => ExitCode::Done.into(),
    }
}
