//! Completes the last word of a line.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};

use super::names;
use crate::cli::ctl::default_socket;
use crate::model::{BackendId, DomainName, Tag};
use crate::rpc::catalogue::{self, Entry};
use crate::rpc::methods::name::{Name, Noun};

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
const NEW_NAMES: [(&str, &str); 4] = [
    ("vhost ctl domain add", "domain"),
    ("vhost ctl domain add", "aliases"),
    ("vhost ctl domain set", "aliases"),
    ("vhost ctl backend add", "id"),
];

/// The argument that names a method of the admin socket.
const METHOD: (&str, &str) = ("vhost ctl call", "method");

/// The candidates for the last of `words`; the first is the program.
pub(super) fn of(root: Command, words: &[OsString]) -> Candidates {
    let Some((last, before)) = words.split_last() else {
        return Candidates::Words(Vec::new());
    };
    let socket: Arc<Path> = socket(before).into();
    let mut command = completing(root, "vhost", &socket);
    let found = clap_complete::engine::complete(&mut command, words.to_vec(), before.len(), None);
    let found = found.unwrap_or_default();
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
        None => std::env::var_os("VHOST_SOCKET").map(PathBuf::from),
    };
    given.unwrap_or_else(default_socket)
}

/// The command with a completer at each argument, chosen by the type of its values, so that no verb
/// has to declare one.
fn completing(command: Command, path: &str, socket: &Arc<Path>) -> Command {
    command.mut_args(|arg| complete_arg(arg, path, socket)).mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        completing(verb, &path, socket)
    })
}

fn complete_arg(arg: Arg, path: &str, socket: &Arc<Path>) -> Arg {
    if (path, arg.get_id().as_str()) == METHOD {
        return arg.add(ArgValueCandidates::new(methods));
    }
    let of = arg.get_value_parser().type_id();
    let noun = if of == TypeId::of::<DomainName>() {
        Noun::Domain
    } else if of == TypeId::of::<Tag>() {
        Noun::Tag
    } else if of == TypeId::of::<BackendId>() {
        Noun::Backend
    } else if of == TypeId::of::<PathBuf>() {
        return arg
            .add(ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new(FILE_MARK)]));
    } else {
        return arg;
    };
    if NEW_NAMES.contains(&(path, arg.get_id().as_str())) {
        return arg;
    }
    let socket = Arc::clone(socket);
    arg.add(ArgValueCompleter::new(move |prefix: &OsStr| {
        let names = names::ask(&socket, noun, &text(prefix));
        let candidate = |(order, name): (usize, Name)| {
            let about = Some(name.about).filter(|about| !about.is_empty());
            CompletionCandidate::new(name.name)
                .help(about.map(Into::into))
                .display_order(Some(order))
        };
        names.into_iter().enumerate().map(candidate).collect()
    }))
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
