//! `[[notify]]` and `[[hooks]]`: whom the server calls, by HTTP or as a program.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::kind::{Choice, File, Kind, List, REFERENCE, Text, Time, texts};
use crate::config::plain::Plain;
use crate::config::reader::Section;
use crate::config::table::settings;
use crate::config::value::{string, url};
use crate::model::{HIDDEN, NotifyKind};

/// The most `[[notify]]`, and the most `[[hooks]]`.
const MAX_ENTRIES: usize = 16;

texts! {
    pub(crate) CalleeName: String, like "[A-Za-z0-9_-]{1,64}", such as "chat", by |value, _| callee_name(value);
    pub(crate) CalleeUrl: String, like r"https?://[^\s/?#:@][^\s]*", such as "https://chat.example.com/hooks/1", by |value, _| callee_url(value);
}

settings! {
    /// A service or program that is notified of events. Up to 16.
    "notify" => pub(super) NotifySection, rules: rules();

    /// Unique: letters, digits, `-` and `_`. Where its deliveries have come to is kept under this name.
    name: Option<CalleeName>, required: true, example: "chat";
    /// The kinds of events that it gets: `switch` (switches, deploys, splits and undo), `rollout`,
    /// `guard`, `certificate`, `health` (of backends).
    events: List<Choice<NotifyKind>, true> = NotifyKind::ALL.to_vec();
    /// How long one delivery may take.
    timeout_secs: Time = Duration::from_secs(10);
    .. callee: CalleeSection;
}

settings! {
    /// A service or program that `--before NAME` asks before a switch, a deploy or a rollout. Up to 16.
    "hooks" => pub(super) HookSection, rules: rules();

    /// Unique: letters, digits, `-` and `_`.
    name: Option<CalleeName>, required: true, example: "approve";
    /// How long it may take to decide. One that takes longer refuses.
    timeout_secs: Time = Duration::from_secs(30);
    .. callee: CalleeSection;
}

settings! {
    /// Who is called.
    "callee" => pub(super) CalleeSection;

    /// The URL that gets the JSON by POST. Redirects are not followed. Either this or `exec`.
    url: Option<CalleeUrl>, example: "https://chat.example.com/hooks/1";
    /// The program that gets the JSON on its standard input: its absolute path, then its arguments. It
    /// is run without a shell, and of the server's environment it gets only `PATH`. Either this or `url`.
    exec: Option<List<Text>>, example: ["/usr/local/bin/notify-chat", "--room", "ops"];
    /// The key that signs each body (HMAC-SHA256), in the header `Vhost-Signature`. It must be a
    /// reference to the environment, so that it is never shown. With `url`.
    secret: Option<SecretText>, example: "${NOTIFY_SECRET}";
    /// The root certificates for the HTTPS of `url`, PEM. The default is the system's roots.
    ca_file: Option<File>, example: "/etc/ssl/company-root.pem";
}

/// A service or program that is notified of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotifySettings {
    /// Who.
    pub callee: Callee,
    /// The kinds of events that it gets.
    pub events: Vec<NotifyKind>,
}

/// A service or program that the server calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callee {
    /// Its name, which no other of its list has.
    pub name: String,
    /// How it is called.
    pub by: CallBy,
    /// How long one call may take.
    pub timeout: Duration,
}

/// How someone is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallBy {
    /// By a POST.
    Url {
        /// The URL.
        url: String,
        /// The key that signs each body.
        secret: Option<Secret>,
        /// The roots that its HTTPS is trusted by, PEM; the system's when not given.
        ca_file: Option<PathBuf>,
    },
    /// By running a program: its absolute path, then its arguments.
    Exec(Vec<String>),
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text, for those who use it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Plain for Secret {
    fn plain(&self) -> Json {
        HIDDEN.into()
    }
}

/// A secret, which the file may only refer to.
pub(super) enum SecretText {}

impl Kind for SecretText {
    type Value = Secret;

    fn example() -> Json {
        "${NOTIFY_SECRET}".into()
    }

    fn read(value: &DeValue<'_>, _: &Path) -> Result<Secret, String> {
        match string(value)? {
            text if text.trim().is_empty() => {
                Err("it is empty: give it a long random text".to_owned())
            }
            text => Ok(Secret(text)),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": REFERENCE })
    }

    fn take(section: &mut Section<'_, '_>, key: &'static str) -> Option<Secret> {
        section.knows(key);
        if section.has(key) && !section.is_reference(key) {
            let message = "a secret in the file would be shown with the settings; write a reference to the \
                           environment: `${NOTIFY_SECRET}`";
            section.hiding_problem(key, message);
            return None;
        }
        section.take(key, &|value: &DeValue<'_>| Self::read(value, Path::new("")))
    }
}

/// Reads all `[[notify]]`.
pub(super) fn read_notify(root: &mut Section<'_, '_>) -> Vec<NotifySettings> {
    let mut names = Vec::new();
    let read = root.listed_entries("notify", "name", |entry| {
        let said = NotifySection::read(entry, NotifySection::default());
        let callee = callee(entry, &mut names, said.name, said.timeout_secs, said.callee)?;
        Some(NotifySettings { callee, events: said.events })
    });
    bounded(root, "notify", read)
}

/// Reads all `[[hooks]]`.
pub(super) fn read_hooks(root: &mut Section<'_, '_>) -> Vec<Callee> {
    let mut names = Vec::new();
    let read = root.listed_entries("hooks", "name", |entry| {
        let said = HookSection::read(entry, HookSection::default());
        callee(entry, &mut names, said.name, said.timeout_secs, said.callee)
    });
    bounded(root, "hooks", read)
}

fn bounded<T>(root: &Section<'_, '_>, key: &str, read: Vec<Option<T>>) -> Vec<T> {
    if read.len() > MAX_ENTRIES {
        let message = format!("there are {}; keep at most {MAX_ENTRIES}", read.len());
        root.hiding_problem(key, message);
    }
    read.into_iter().flatten().collect()
}

fn callee(
    entry: &Section<'_, '_>,
    names: &mut Vec<String>,
    name: Option<String>,
    timeout: Duration,
    said: CalleeSection,
) -> Option<Callee> {
    let CalleeSection { url, exec, secret, ca_file } = said;
    for key in ["secret", "ca_file"] {
        if entry.has(key) && !entry.has("url") {
            entry.hiding_problem(key, "only a `url` uses it; remove it, or add `url`");
        }
    }
    match (entry.has("url"), entry.has("exec")) {
        (true, true) => entry.problem("exec", "there is a `url` as well; keep one of the two"),
        (false, false) => {
            let message = format!(
                "it says nobody to call; add `url = \"{URL_EXAMPLE}\"` or `exec = \
                 [\"/usr/local/bin/notify-chat\"]`"
            );
            entry.hiding_problem("", message);
        }
        (true, false) | (false, true) => {}
    }
    if let Some(exec) = &exec {
        match exec.first() {
            None => {
                entry.problem("exec", "it is empty; write the absolute path of a program first");
            }
            Some(program) if !Path::new(program).is_absolute() => {
                let message =
                    "write the absolute path of the program: `/usr/local/bin/notify-chat`";
                entry.element_problem("exec", 0, message);
            }
            Some(_) => {}
        }
    }
    let name = name?;
    if names.contains(&name) {
        entry.problem("name", "another one has this name; choose a name of its own");
    }
    names.push(name.clone());
    let by = match (url, exec) {
        (Some(url), _) => CallBy::Url { url, secret, ca_file },
        (None, Some(exec)) => CallBy::Exec(exec),
        (None, None) => return None,
    };
    Some(Callee { name, by, timeout })
}

fn callee_name(value: &DeValue<'_>) -> Result<String, String> {
    let fits = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let name = value.as_str().filter(fits).map(str::to_owned);
    name.ok_or_else(|| "use letters, digits, `-` and `_`, at most 64: `chat`".to_owned())
}

fn callee_url(value: &DeValue<'_>) -> Result<String, String> {
    let url = url(&["https://", "http://"], URL_EXAMPLE)(value)?;
    let uri = url.parse::<http::Uri>().ok();
    let authority = uri.as_ref().and_then(http::Uri::authority);
    match authority {
        None => Err(format!("write a URL such as `{URL_EXAMPLE}`")),
        Some(authority) if authority.as_str().contains('@') => Err(
            "it has a user before the host, which is not sent; use `secret`, or a path that only \
                 you know"
                .to_owned(),
        ),
        Some(_) => Ok(url),
    }
}

fn rules() -> Json {
    json!({
        "oneOf": [{ "required": ["url"] }, { "required": ["exec"] }],
        "dependentRequired": { "secret": ["url"], "ca_file": ["url"] },
    })
}

const URL_EXAMPLE: &str = "https://chat.example.com/hooks/1";
