//! `vhost man`: a manual page for every command, from the definition that also makes its `--help`.

mod config_page;
mod page;
mod synopsis;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::exit_code::ExitCode;
use super::problem::complaint;
use super::words::say;

/// Print the manual page of vhost, or write the pages of all commands
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vhost man | man -l -
  vhost man ./man")]
pub(super) struct ManArgs {
    /// Write `vhost.1`, `vhost-ctl-switch.1` and all others into this directory
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: Option<PathBuf>,
}

/// Prints or writes the pages of `root`. Returns the exit status.
pub(super) fn run(args: &ManArgs, root: clap::Command) -> u8 {
    let mut pages = page::all(root);
    pages.push(("vhost-config.5".to_owned(), config_page::render()));
    let written = match &args.directory {
        Some(directory) => write(directory, &pages),
        None => io::stdout().lock().write_all(pages.first().map_or(&[], |(_, page)| page)),
    };
    match written {
        Ok(()) => ExitCode::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Done,
        Err(error) => {
            say(complaint(&error, Some("use a directory that you may write to")));
            ExitCode::Failed
        }
    }
    .into()
}

fn write(directory: &Path, pages: &[(String, Vec<u8>)]) -> io::Result<()> {
    let at = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write `{}`: {error}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| at(directory, error))?;
    for (name, page) in pages {
        let path = directory.join(name);
        fs::write(&path, page).map_err(|error| at(&path, error))?;
    }
    Ok(())
}
