//! Where the state is, by the arguments.

use std::path::{Path, PathBuf};

use super::args::DirArgs;
use crate::backup::{BackupError, StateDirs};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::complaint;
use crate::cli::words::say;
use crate::config;

/// Where packages and `vhost init` have the config.
const DEFAULT_CONFIG: &str = "/etc/vhost/config.toml";

/// The directories of a server, and where it would answer.
pub(super) struct Found {
    pub(super) dirs: StateDirs,
    pub(super) socket: Option<PathBuf>,
}

/// Finds the directories, or says why not.
pub(super) fn find(args: &DirArgs) -> Result<Found, ExitCode> {
    if let Some(state) = &args.state_dir {
        let state = std::path::absolute(state).unwrap_or_else(|_| state.clone());
        return Ok(Found { dirs: StateDirs::at(state), socket: None });
    }
    let path = args.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    match config::load_to_start(path) {
        Ok(config) => {
            let (dirs, socket) = (StateDirs::of(&config), Some(config.proxy.admin_socket));
            Ok(Found { dirs, socket })
        }
        Err(error) => {
            let hint =
                "name the server's config with `--config`, or the directory with `--state-dir`";
            say(complaint(&error, Some(hint)));
            Err(ExitCode::Usage)
        }
    }
}

/// Prints an error; the exit status of a command that fails for it.
pub(super) fn failed(error: &BackupError) -> ExitCode {
    say(complaint(error, error.hint().as_deref()));
    ExitCode::Failed
}
