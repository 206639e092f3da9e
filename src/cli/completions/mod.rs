//! `vhost completions SHELL`: the script that a shell sources, and the answers that it asks for.
//!
//! The scripts hand the words of the line to `vhost completions SHELL -- WORDS…`, which prints a
//! candidate a line. `clap_complete` has scripts of its own, but guarantees them only for the
//! program of the same build, while these are installed as files; with those, bash expands the
//! domain `*` as a pattern, and errors reach the terminal.

mod candidates;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::ValueEnum;

use self::candidates::Candidates;
use super::exit_code::ExitCode;

/// Print the script that completes `vhost` in a shell
///
/// It completes commands, options and files, and the current names of domains, tags and backends of
/// the server. It finds the server like `vhost ctl`: by `--socket` on the command line,
/// `VHOST_SOCKET`, or the default path. Without a server it offers no names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vhost completions bash > ~/.local/share/bash-completion/completions/vhost
  vhost completions zsh > ~/.zfunc/_vhost
  vhost completions fish > ~/.config/fish/completions/vhost.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
    /// The words of a line; the candidates for the last one are printed instead
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

    /// A candidate in the format of the shell's script.
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

/// The line that makes the shell complete file names.
const FILES: &str = ":files";

/// Prints the script, or the candidates for the last word. Returns the exit status.
pub(super) fn run(args: &CompletionsArgs, root: clap::Command) -> u8 {
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
