//! `vhost hash-password`: the hash of a password for the config file.

use std::io::{self, BufRead, IsTerminal, Write};

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;

use super::exit_code::ExitCode;
use super::words::{say, written};

/// Hash a password for a domain's `basic_auth`
///
/// Asks for the password twice without showing it, or reads one line of standard input if that is
/// not a terminal. The hash is argon2id with 19 MiB and two passes, as OWASP recommends.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:\n  vhost hash-password")]
pub(super) struct HashPasswordArgs {}

/// Prints the hash. Returns the exit status.
pub(super) fn run(_: &HashPasswordArgs) -> u8 {
    let password = match password() {
        Ok(password) => password,
        Err(problem) => {
            say(format_args!("error: {problem}"));
            return ExitCode::Usage.into();
        }
    };
    // The parameters of the default are those of OWASP.
    let hash = match Argon2::default().hash_password(password.as_bytes()) {
        Ok(hash) => hash,
        Err(error) => {
            say(format_args!("error: the password could not be hashed\ncause: {error}"));
            return ExitCode::Failed.into();
        }
    };
    written("hash", writeln!(io::stdout().lock(), "{hash}")).into()
}

fn password() -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot read the password\ncause: {error}");
    let password = if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ").map_err(unreadable)?;
        let again = rpassword::prompt_password("Once more: ").map_err(unreadable)?;
        if password != again {
            return Err("the passwords differ; nothing was hashed".to_owned());
        }
        password
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err("the password is empty; type one, or pipe one line in".to_owned());
    }
    Ok(password)
}
