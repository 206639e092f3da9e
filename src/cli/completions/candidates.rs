//! Completes the last word of a line.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use serde_json::Value;

use crate::cli::ctl::{FlagValue, Given, HasOptions, default_socket, socket_of_environment};
use crate::model::record::{self, Record};
use crate::model::{AppName, AppOptions, BackendId, BackendOptions, DomainName, Tag, TopOptions};
use crate::rpc::catalogue::{self, Entry};
use crate::rpc::client::{Client, ClientError};
use crate::rpc::methods::name::{Complete, CompleteParams, Name, Noun};

/// The candidates for a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidates {
    /// Words, each with a description.
    Words(Vec<(String, Option<String>)>),
    /// A file, which the shell completes.
    Files,
}

/// Stands for files among the candidates of an argument; no name has a NUL.
const FILE_MARK: &str = "\0";

/// Arguments with new names: existing ones are no candidates.
const NEW_NAMES: [(&str, &str); 5] = [
    ("vhost ctl domain add", "domain"),
    ("vhost ctl domain add", "aliases"),
    ("vhost ctl domain set", "aliases"),
    ("vhost ctl backend add", "id"),
    ("vhost ctl app add", "app"),
];

/// Arguments that take an app in the place of a domain.
const WITH_APPS: [(&str, &str); 3] =
    [("vhost ctl switch", "domain"), ("vhost ctl switch", "also"), ("vhost ctl undo", "domain")];

/// The argument that names a method of the admin socket.
const METHOD: (&str, &str) = ("vhost ctl call", "method");

/// The candidates for the last of `words`; the first is the program.
pub(super) fn of(root: Command, words: &[OsString]) -> Candidates {
    let Some((last, before)) = words.split_last() else {
        return Candidates::Words(Vec::new());
    };
    let line = Line { socket: socket(before).into(), domain: switched(before) };
    let mut command = completing(root, "vhost", &line);
    let found = clap_complete::engine::complete(&mut command, words.to_vec(), before.len(), None);
    let mut found = found.unwrap_or_default();
    // Flags that only exist to be refused with a tip.
    found.retain(|candidate| !candidate.is_hide_set());
    if found.iter().any(|candidate| text(candidate.get_value()).ends_with(FILE_MARK)) {
        return Candidates::Files;
    }
    // Options would hide the names, which are wanted most of the time.
    let flags = text(last).starts_with('-');
    let word = |candidate: &CompletionCandidate| {
        let about = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let about = about.lines().next().filter(|line| !line.is_empty()).map(str::to_owned);
        (text(candidate.get_value()), about)
    };
    let words = found.iter().map(word).filter(|(word, _)| flags || !word.starts_with('-'));
    Candidates::Words(words.collect())
}

/// What the words before the last say of the names that fit.
#[derive(Clone)]
struct Line {
    /// The socket of the server that is asked.
    socket: Arc<Path>,
    /// The domain whose tags are meant.
    domain: Option<DomainName>,
}

/// The domain that the command on the line switches: its tag is one of the domain's app.
fn switched(words: &[OsString]) -> Option<DomainName> {
    let mut words = words.iter().map(|word| text(word)).skip_while(|word| word != "switch").skip(1);
    words.find(|word| !word.starts_with('-'))?.parse().ok()
}

/// The socket that the command on the line would use.
fn socket(words: &[OsString]) -> PathBuf {
    let mut typed = None;
    let mut words = words.iter().map(|word| text(word)).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        if word == "--socket" {
            typed = words.next();
        } else if let Some(path) = word.strip_prefix("--socket=") {
            typed = Some(path.to_owned());
        }
    }
    let given = match typed {
        Some(path) => match (path.strip_prefix("~/"), std::env::home_dir()) {
            // The shell expands this only when it runs the line.
            (Some(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(path.into()),
        },
        None => socket_of_environment(),
    };
    given.unwrap_or_else(default_socket)
}

/// The command with a completer at each argument, chosen by the type of its values, so that no verb
/// has to declare one.
fn completing(command: Command, path: &str, line: &Line) -> Command {
    command.mut_args(|arg| complete_arg(arg, path, line)).mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        completing(verb, &path, line)
    })
}

fn complete_arg(arg: Arg, path: &str, line: &Line) -> Arg {
    if (path, arg.get_id().as_str()) == METHOD {
        return arg.add(ArgValueCandidates::new(methods));
    }
    let arg = complete_flag::<BackendOptions>(complete_flag::<TopOptions>(arg));
    let arg = complete_option::<BackendOptions>(complete_option::<TopOptions>(arg));
    let arg = complete_option::<AppOptions>(complete_flag::<AppOptions>(arg));
    let of = arg.get_value_parser().type_id();
    let noun = if of == TypeId::of::<DomainName>() {
        Noun::Domain
    } else if of == TypeId::of::<Tag>() {
        Noun::Tag
    } else if of == TypeId::of::<BackendId>() {
        Noun::Backend
    } else if of == TypeId::of::<AppName>() {
        Noun::App
    } else if of == TypeId::of::<PathBuf>() {
        return arg.add(files());
    } else {
        return arg;
    };
    // The name of an app stands for all of its domains.
    let with_apps = WITH_APPS.contains(&(path, arg.get_id().as_str()));
    let nouns: Vec<_> = std::iter::once(noun).chain(with_apps.then_some(Noun::App)).collect();
    if NEW_NAMES.contains(&(path, arg.get_id().as_str())) {
        return arg;
    }
    let line = line.clone();
    let socket = Arc::clone(&line.socket);
    arg.add(ArgValueCompleter::new(move |prefix: &OsStr| {
        let prefix = text(prefix);
        let names = names(&socket, &nouns, line.domain.as_ref(), &prefix);
        let candidate = |(order, name): (usize, Name)| {
            let Name { name, unicode, about } = name;
            let about = Some(about).filter(|about| !about.is_empty());
            // In the form that is being typed.
            let unicode = unicode.filter(|unicode| unicode.starts_with(&prefix));
            CompletionCandidate::new(unicode.unwrap_or(name))
                .help(about.map(Into::into))
                .display_order(Some(order))
        };
        names.into_iter().enumerate().map(candidate).collect()
    }))
}

/// For connect and answers together: with the start of the process, completion takes at most 200 ms
/// whatever the server does.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(120);

/// The names that begin with `prefix`; empty if the server at `socket` does not answer in time.
fn names(socket: &Path, nouns: &[Noun], domain: Option<&DomainName>, prefix: &str) -> Vec<Name> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let answer = async {
        let mut client = Client::connect(socket).await?;
        let mut names = Vec::new();
        for noun in nouns {
            let (noun, domain, prefix) = (*noun, domain.cloned(), prefix.to_owned());
            let params = CompleteParams { noun, domain, prefix, limit: None };
            names.extend(client.call::<Complete>(&params, |()| {}).await?.names);
        }
        Ok::<_, ClientError>(names)
    };
    let answered = runtime.block_on(async { tokio::time::timeout(LOOKUP_TIMEOUT, answer).await });
    match answered {
        Ok(Ok(names)) => names,
        // Errors are not printed: they would appear in the line that is being typed.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

fn files() -> ArgValueCompleter {
    ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new(FILE_MARK)])
}

/// Completes a flag of a record by what its key may be.
fn complete_flag<R: Record>(arg: Arg) -> Arg {
    if arg.get_value_parser().type_id() != TypeId::of::<FlagValue<R>>() {
        return arg;
    }
    let key = arg.get_id().as_str().to_owned();
    if R::FILES.contains(&key.as_str()) {
        return arg.add(files());
    }
    arg.add(ArgValueCandidates::new(move || {
        let of = key.split('.').try_fold(R::schema(), record::member);
        of.into_iter().flat_map(record::finite_values).map(CompletionCandidate::new).collect()
    }))
}

/// Completes `KEY=VALUE`: keys down to inner ones, and values where there are only some.
fn complete_option<T: HasOptions>(arg: Arg) -> Arg {
    if arg.get_value_parser().type_id() != TypeId::of::<Given<T>>() {
        return arg;
    }
    arg.add(ArgValueCompleter::new(|word: &OsStr| assignments::<T>(&text(word))))
}

fn assignments<T: HasOptions>(word: &str) -> Vec<CompletionCandidate> {
    let schemas = T::schemas();
    let (path, value) = word.split_once('=').map_or((word, None), |(path, of)| (path, Some(of)));
    let within = |path: &str| {
        let mut found = schemas.iter().filter_map(|schema| {
            path.split('.').filter(|key| !key.is_empty()).try_fold(schema, record::member)
        });
        found.next()
    };
    let Some(value) = value else {
        let above = path.rsplit_once('.').map_or("", |(above, _)| above);
        let tables =
            if above.is_empty() { schemas.iter().collect() } else { Vec::from_iter(within(above)) };
        let members = tables.into_iter().flat_map(record::members);
        let candidates = |(key, of): (&str, &Value)| {
            let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
            let is_table = !record::members(of).is_empty();
            // Such as `tls`, which is a word or names files.
            let is_value = !is_table || !record::finite_values(of).is_empty();
            let about = of["description"].as_str().unwrap_or_default().lines().next();
            let about = about.filter(|about| !about.is_empty()).map(str::to_owned);
            let ends = [is_value.then_some('='), is_table.then_some('.')];
            let fitting = path.starts_with(word);
            ends.into_iter().flatten().filter(move |_| fitting).map(move |end| {
                CompletionCandidate::new(format!("{path}{end}")).help(about.clone().map(Into::into))
            })
        };
        return members.flat_map(candidates).collect();
    };
    let words = within(path).into_iter().flat_map(record::finite_values);
    let fitting = words.filter(|of| of.starts_with(value));
    fitting.map(|of| CompletionCandidate::new(format!("{path}={of}"))).collect()
}

fn methods() -> Vec<CompletionCandidate> {
    let method = |entry: &Entry| {
        CompletionCandidate::new(entry.name).help(Some(entry.doc.trim().to_owned().into()))
    };
    catalogue::all().map(method).collect()
}

fn text(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(words: &str) -> Vec<String> {
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        let root = <crate::cli::args::Cli as clap::CommandFactory>::command();
        match of(root, &words) {
            Candidates::Words(words) => words.into_iter().map(|(word, _)| word).collect(),
            Candidates::Files => vec![":files".to_owned()],
        }
    }

    #[test]
    fn options_are_completed_by_what_records_say_of_them() {
        for (line, expected) in [
            ("vhost ctl domain set x --option max_", &["max_body_bytes="][..]),
            ("vhost ctl domain set x --option stick", &["sticky."]),
            ("vhost ctl domain set x --option tl", &["tls=", "tls."]),
            ("vhost ctl domain set x --option=max_", &["--option=max_body_bytes="]),
            ("vhost ctl domain set x --option sticky.c", &["sticky.cookie="]),
            ("vhost ctl domain set x --option request_headers.r", &["request_headers.remove="]),
            (
                "vhost ctl domain set x --option http_to_https=",
                &["http_to_https=true", "http_to_https=false"],
            ),
            ("vhost ctl domain set x --option tls=i", &["tls=internal"]),
            ("vhost ctl backend add x y --option scheme=h2", &["scheme=h2", "scheme=h2c"]),
            ("vhost ctl backend set x --scheme h2", &["h2", "h2c"]),
            ("vhost ctl backend set x --tls-ca-file ", &[":files"]),
            ("vhost ctl backend set x --health-check-kind ", &["http", "tcp", "grpc"]),
            ("vhost ctl backend set x --health-check-me", &["--health-check-method"]),
            ("vhost ctl backend add x y --option health_c", &["health_check."]),
            (
                "vhost ctl backend add x y --option health_check.method=H",
                &["health_check.method=HEAD"],
            ),
            ("vhost ctl backend set x --no-option health_check.pa", &["health_check.path"]),
            ("vhost ctl backend set x --option colour=", &[]),
        ] {
            assert_eq!(completed(line), expected, "{line}");
        }
    }
}
