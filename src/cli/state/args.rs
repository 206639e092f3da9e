//! The command's arguments.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

use crate::cli::check::CheckFormat;

/// Back up the server's state, check it, and put a backup back
///
/// The state is what `vhost ctl` and certificates have made of a machine: domains, backends, apps and history,
/// certificates with their keys, accounts at CAs, the server's own CA, tokens, and the key of sticky cookies. The config
/// file and files that it names are no part of it. These commands read the disk and need no server; run them as the
/// server's user, or as root.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct StateArgs {
    #[command(subcommand)]
    pub verb: StateVerb,
}

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum StateVerb {
    Backup(BackupArgs),
    Check(StateCheckArgs),
    Restore(RestoreArgs),
}

/// Where the state is.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct DirArgs {
    /// The server's config file [default: /etc/vhost/config.toml]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "state_dir")]
    pub config: Option<PathBuf>,
    /// The state directory, with certificates in `certs` below it, whatever a config file says
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
}

/// Write the state to one file, beside a running server or not
///
/// The file is a tar archive with checksums. It holds private keys, so only the user can read it. It is the state as it was
/// at one moment, and is written as a whole or not at all. Prints its name.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  vhost state backup\n  \
                        vhost state backup --output /backup/vhost.tar --force --config /etc/vhost/config.toml")]
pub(in crate::cli) struct BackupArgs {
    #[command(flatten)]
    pub dirs: DirArgs,
    /// The file to write [default: vhost-state-TIME.tar in the current directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
}

/// Check the state, or a backup of it
///
/// Reads all of it: the pages of the database, its schema, each value, and whether each certificate belongs to its name and
/// key; of the state also the modes and owners of its files, of a backup its checksums. The exit status is 0 if nothing is
/// wrong and 1 otherwise. Changes nothing, and works beside a running server.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  vhost state check\n  vhost state check vhost-state-20261201T120000Z.tar"
)]
pub(in crate::cli) struct StateCheckArgs {
    /// A backup, instead of the state itself
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["config", "state_dir"])]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub dirs: DirArgs,
    /// How to print problems: text on stderr, or json on stdout for scripts
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
}

/// Put a backup back
///
/// The server must not run. The backup is checked first, as `vhost state check` does; one that is damaged, or that a newer
/// version has made, changes nothing. What was there is moved into a directory beside it, which you remove when you no longer
/// need it. After a crash in between, no server starts until the same command has run again.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:\n  vhost state restore vhost-state-20261201T120000Z.tar")]
pub(in crate::cli) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    #[command(flatten)]
    pub dirs: DirArgs,
}
