//! The file, and the commands that come next.

use std::fmt::Write as _;
use std::path::Path;

use toml::Value;

use super::answers::Answers;
use super::listeners::Listeners;

/// The text of the config.
pub(super) fn config(answers: &Answers, listeners: &Listeners) -> String {
    let list = |addresses: &[std::net::SocketAddr]| {
        Value::Array(addresses.iter().map(|address| address.to_string().into()).collect())
    };
    let mut text = "# Written by `vhost init`. `vhost schema --example` shows every key, `vhost check FILE` checks this one,\n\
                    # and `vhost ctl reload` applies what you have changed.\n\n[proxy]\n"
        .to_owned();
    // Writing to a text never fails.
    if !listeners.https.is_empty() {
        let _ = writeln!(text, "listen_addr = {}", list(&listeners.https));
    }
    if !listeners.http.is_empty() {
        let _ = writeln!(text, "listen_addr_http = {}", list(&listeners.http));
    }
    if let Some(email) = &answers.email {
        let email = Value::from(email.replace("${", "$${"));
        let _ = write!(text, "\n[lets_encrypt]\nemail = {email}\n");
    }
    let _ = write!(
        text,
        "\n# Apps come with their first deploy, and stay over restarts:\n#   {}\n",
        deploy(answers)
    );
    text
}

/// What starts the server, and what deploys the application.
pub(super) fn next_commands(path: &Path, answers: &Answers) -> [String; 2] {
    let path = quoted(&path.display().to_string());
    [format!("vhost serve --config {path}"), deploy(answers)]
}

fn deploy(answers: &Answers) -> String {
    let host = quoted(&answers.domain.to_string());
    let backend = quoted(&answers.backend.to_string());
    let wait = if answers.email.is_some() && !answers.is_private() { " --wait-cert" } else { "" };
    format!("vhost ctl deploy {} {backend} --host {host}{wait}", answers.app)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:[]@%+=,".contains(c);
    // A shell may take brackets for a pattern.
    if !word.is_empty() && word.chars().all(is_plain) && !word.contains(['[', ']']) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/etc/vhost/config.toml"), "/etc/vhost/config.toml");
        assert_eq!(quoted("*.example.com"), "'*.example.com'");
        assert_eq!(quoted("[::1]:80"), "'[::1]:80'");
        assert_eq!(quoted("a b'c"), "'a b'\\''c'");
    }
}
