//! `vhost check FILE`: says everything that is wrong with a config file, and starts nothing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::problem::complaint;
use crate::config;

/// The file is fit to be served.
const VALID: u8 = 0;
/// It is not: the status of a usage error or an invalid config.
const INVALID: u8 = 2;

/// Check a config file without starting anything.
///
/// Prints every problem with its line, its key and what would be right. The exit status is 0 when
/// the file is valid and 2 when it is not. `vhost serve` and a reload do the same checks.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// The config file (TOML)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Checks the file and reports on standard error; the answer is the exit status.
pub fn run(args: &CheckArgs) -> u8 {
    check(&args.file, &mut io::stderr().lock())
}

fn check(file: &Path, talk: &mut impl Write) -> u8 {
    let (status, text) = match config::load(file) {
        Ok(config) => {
            let domains = counted(config.declared.domains.len(), "domain");
            let backends = counted(config.declared.backends.len(), "backend");
            (VALID, format!("{}: ok: {domains}, {backends}", file.display()))
        }
        Err(error @ config::ConfigError::Invalid { .. }) => (INVALID, error.to_string()),
        Err(error) => (INVALID, complaint(&error, error.hint())),
    };
    // Nobody to talk to is no reason to answer otherwise.
    let _ = writeln!(talk, "{text}");
    status
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> (u8, String) {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let file = directory.path().join("vhost.toml");
        std::fs::write(&file, text).expect("it can be written to");
        let mut talk = Vec::new();
        let status = check(&file, &mut talk);
        let talk = String::from_utf8(talk).expect("UTF-8");
        (status, talk.replace(&format!("{}/", directory.path().display()), ""))
    }

    #[test]
    fn a_valid_file_is_told_in_one_line() {
        let text = "proxy = { listen_addr_http = \"[::1]:80\", state_dir = \"/state\" }\n\
                    [[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []";
        let expected = "vhost.toml: ok: 0 domains, 1 backend\n";
        assert_eq!(check_text(text), (0, expected.to_owned()));
    }

    #[test]
    fn an_invalid_file_is_told_by_its_problems() {
        let (status, talk) = check_text("[proxy]\nlisten_addr = 1\nstate_dir = \"/state\"\n");
        assert_eq!(status, 2);
        assert!(talk.starts_with("vhost.toml:2: proxy.listen_addr: `1`: write"), "{talk}");
        assert!(talk.ends_with("\n1 problem in vhost.toml\n"), "{talk}");
    }

    #[test]
    fn a_missing_file_is_told_with_cause_and_hint() {
        let mut talk = Vec::new();
        assert_eq!(check(Path::new("/no/such/file"), &mut talk), 2);
        let talk = String::from_utf8(talk).expect("UTF-8");
        let starts: Vec<_> = talk.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(starts, ["error:", "cause:", "hint:"], "{talk}");
    }
}
