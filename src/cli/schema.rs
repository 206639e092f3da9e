//! `vhost schema`: the schema of the config file, for editors.

use std::io::{self, Write};

use super::words::written;
use crate::config;

/// Print the JSON Schema of the config file.
///
/// It gives completion and checks in editors that use Taplo (Even Better TOML): keep it beside the
/// config, and make `#:schema ./vhost.schema.json` the first line of the config. It also works for
/// included files.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  vhost schema > vhost.schema.json\n  \
                        vhost schema --example > config.toml")]
pub(super) struct SchemaArgs {
    /// Print an example config file instead, with every key, its description and its default
    #[arg(long)]
    pub example: bool,
}

/// Prints the schema, or the example. Returns the exit status.
pub(super) fn run(args: &SchemaArgs) -> u8 {
    let mut stdout = io::stdout().lock();
    let result = if args.example {
        write!(stdout, "{}", config::example())
    } else {
        writeln!(stdout, "{:#}", config::schema())
    };
    written("schema", result).into()
}
