//! The answers to the questions: from flags, or from a terminal.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::str::FromStr;

use super::args::InitArgs;
use crate::cli::words::say;
use crate::model::{AppName, BackendAddr, DomainName, printable};

/// How often a question is asked before it is given up.
const MAX_TRIES: usize = 3;
/// The longest line that is read.
const MAX_LINE: u64 = 4096;

/// What has to be known for a config.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) domain: DomainName,
    pub(super) backend: BackendAddr,
    pub(super) email: Option<String>,
    pub(super) app: AppName,
}

impl Answers {
    /// Whether no public CA signs the name.
    pub(super) fn is_private(&self) -> bool {
        self.domain.never_public().is_some()
    }
}

/// What came of asking.
pub(super) enum Asked {
    Answered(Answers),
    /// A flag is missing, and nobody can be asked.
    Missing(String),
    GivenUp,
}

/// Takes the answers from flags, and asks for the others on a terminal.
pub(super) fn gather(args: &InitArgs, is_terminal: bool) -> Asked {
    if !is_terminal {
        let missing = [
            ("--domain DOMAIN", args.domain.is_none()),
            ("--backend ADDRESS", args.backend.is_none()),
            ("--email ADDRESS` or `--no-email", args.email.is_none() && !args.no_email),
        ];
        let missing: Vec<_> = missing
            .iter()
            .filter(|(_, is_missing)| *is_missing)
            .map(|(flag, _)| format!("`{flag}`"))
            .collect();
        if !missing.is_empty() {
            return Asked::Missing(format!(
                "error: there is no terminal to ask on, and {} missing\nhint: add {}",
                if missing.len() == 1 { "an answer is" } else { "answers are" },
                missing.join(", ")
            ));
        }
    }
    let domain =
        args.domain.clone().or_else(|| ask("The domain, such as shop.example.com: ", parsed));
    let Some(domain) = domain else { return Asked::GivenUp };
    let question = "Where the application listens, such as localhost:3000: ";
    let backend = args.backend.clone().or_else(|| ask(question, parsed));
    let Some(backend) = backend else { return Asked::GivenUp };
    let email = match (&args.email, args.no_email) {
        (Some(email), _) => Some(email.clone()),
        (None, true) => None,
        (None, false) => {
            let question = "Your e-mail address for Let's Encrypt; empty for none: ";
            match ask(question, email) {
                Some(email) => email,
                None => return Asked::GivenUp,
            }
        }
    };
    let app = args.app.clone().unwrap_or_else(|| app_of(&domain));
    Asked::Answered(Answers { domain, backend, email, app })
}

/// Whether to write the file.
pub(super) fn confirm(path: &Path, is_amiss: bool) -> bool {
    let question = if is_amiss {
        format!("Write {} all the same? [y/N] ", path.display())
    } else {
        format!("Write {}? [Y/n] ", path.display())
    };
    let answer = ask(&question, |line| Ok::<_, String>(line.to_ascii_lowercase()));
    match answer.as_deref() {
        Some("y" | "yes") => true,
        Some("") => !is_amiss,
        _ => false,
    }
}

fn parsed<T: FromStr>(line: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    line.parse().map_err(|error: T::Err| error.to_string())
}

fn email(line: &str) -> Result<Option<String>, String> {
    match line {
        "" => Ok(None),
        line if line.contains('@') && !line.contains(char::is_whitespace) => {
            Ok(Some(line.to_owned()))
        }
        _ => Err("an e-mail address has an `@`".to_owned()),
    }
}

/// Asks on standard error. `None` if the input ends, or nobody knows an answer.
fn ask<T, E: std::fmt::Display>(question: &str, read: impl Fn(&str) -> Result<T, E>) -> Option<T> {
    for _ in 0..MAX_TRIES {
        // A closed stream shows no question; the answer is read all the same.
        let _ = write!(io::stderr().lock(), "{}", printable(question));
        let _ = io::stderr().lock().flush();
        let mut line = String::new();
        let input = io::stdin().lock();
        if io::Read::take(input, MAX_LINE).read_line(&mut line).ok()? == 0 {
            return None;
        }
        match read(line.trim()) {
            Ok(answer) => return Some(answer),
            Err(error) => say(printable(&error.to_string())),
        }
    }
    None
}

/// The first label of a domain that says something, where an app can be called so.
fn app_of(domain: &DomainName) -> AppName {
    let name = domain.to_string();
    let mut labels = name.split('.').filter(|label| !matches!(*label, "*" | "www" | ""));
    let label = labels.next().and_then(|label| label.parse().ok());
    label.unwrap_or_else(|| "app".parse().expect("`app` is a name that apps may have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_called_as_its_domain_begins() {
        for (domain, app) in [
            ("shop.example.com", "shop"),
            ("www.example.com", "example"),
            ("*.example.com", "example"),
            ("*", "app"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(app_of(&domain.parse().unwrap()).to_string(), app, "{domain}");
        }
    }
}
