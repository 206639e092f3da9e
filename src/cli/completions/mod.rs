//! `vhost completions SHELL`: the script that a shell sources, and the answers that it asks for.
//!
//! The scripts hand the words of the line to `vhost completions SHELL -- WORDS…`, which prints a
//! candidate a line. `clap_complete` has scripts of its own, but promises them to fit only the
//! program of the same build, while these are installed as files; they let bash take the domain `*`
//! for a pattern of files, and let errors through to the terminal.

mod candidates;
mod names;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::ValueEnum;

use self::candidates::Candidates;
use super::exit_code::ExitCode;

/// Print the script that completes `vhost` in a shell
///
/// It completes commands, flags and files, and the names of domains, tags and backends as the server
/// knows them at that moment. It finds the server as `vhost ctl` does: by the `--socket` of the line,
/// `VHOST_SOCKET`, or the default place; without a server it offers no names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vhost completions bash > ~/.local/share/bash-completion/completions/vhost
  vhost completions zsh > ~/.zfunc/_vhost
  vhost completions fish > ~/.config/fish/completions/vhost.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
    /// The words of a line; what the last of them may become is printed instead
    #[arg(last = true, hide = true)]
    words: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../../completions/vhost.bash"),
            Self::Zsh => include_str!("../../../completions/_vhost"),
            Self::Fish => include_str!("../../../completions/vhost.fish"),
            Self::Elvish => include_str!("../../../completions/vhost.elv"),
            Self::Powershell => include_str!("../../../completions/_vhost.ps1"),
        }
    }

    /// A candidate as the shell's script reads it.
    fn line(self, value: &str, about: Option<&str>) -> String {
        match (self, about) {
            (Self::Bash, _) => value.to_owned(),
            // The syntax of `_describe`.
            (Self::Zsh, about) => {
                let value = value.replace('\\', "\\\\").replace(':', "\\:");
                about.map_or(value.clone(), |about| format!("{value}:{about}"))
            }
            (_, Some(about)) => format!("{value}\t{about}"),
            (_, None) => value.to_owned(),
        }
    }
}

/// The line that has the shell complete a file's name by itself.
const FILES: &str = ":files";

/// Prints the script, or what the last word may become. Returns the exit status.
pub fn run(args: &CompletionsArgs, root: clap::Command) -> u8 {
    let CompletionsArgs { shell, words } = args;
    let text = if words.is_empty() {
        shell.script().to_owned()
    } else {
        match candidates::of(root, words) {
            Candidates::Files => format!("{FILES}\n"),
            Candidates::Words(words) => {
                let lines = words.iter().map(|(word, about)| shell.line(word, about.as_deref()));
                lines.map(|line| line + "\n").collect()
            }
        }
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Done,
        Err(_) => ExitCode::Failed,
    }
    .into()
}
