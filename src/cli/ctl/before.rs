//! `--before`: the hooks that are asked before a change.

use clap::Args;

#[derive(Debug, Default, Args)]
pub(super) struct BeforeArgs {
    /// Ask this hook of the config file after the gate; if it refuses, nothing changes. May be repeated, up to 4
    /// times; `--force` does not skip it
    #[arg(long, value_name = "HOOK")]
    pub(super) before: Vec<String>,
}
