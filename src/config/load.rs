//! From a path to a configuration: the file, the files that it includes, and what they say together.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::document::{Document, text_of};
use super::entries::read_declared;
use super::include::{MAX_CONFIG_BYTES, read_included, refuse_main_keys, refuse_reserved_paths};
use super::paths::Environment;
use super::problem::{ConfigError, Problem};
use super::reader::Section;
use super::report::KnownKeys;
use super::settings::{self, Config};
use crate::model::record;
use crate::model::{AppOptions, BackendOptions, TopOptions};

/// What became of a config file, for whoever wants to know all of it.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// The files that were read, the main one first.
    pub files: Vec<PathBuf>,
    /// Everything that is wrong, by file and line.
    pub problems: Vec<Problem>,
    /// What is allowed and dangerous, by file and line.
    pub warnings: Vec<Problem>,
    /// How many domains could be read.
    pub domains: usize,
    /// How many backends could be read.
    pub backends: usize,
    /// What the file says, where it is right.
    pub config: Option<Box<Config>>,
}

/// Reads a config file and those that it includes, and the files of backends that they name.
///
/// # Errors
/// When the file cannot be read, or with everything that is wrong in it.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    read_file(path)?.with_good_files().into_result(path)
}

/// Reads a config file for a start, which goes on without files of backends that can't be used: one
/// file that is gone must not keep a machine from serving all others.
///
/// # Errors
/// When the file cannot be read, or with everything that is wrong in it.
pub(crate) fn load_to_start(path: &Path) -> Result<Config, ConfigError> {
    read_file(path)?.into_result(path)
}

/// Reads the text of a config file; `path` is where it came from. Relative paths in it start at
/// the directory of `path`.
///
/// # Errors
/// With everything that is wrong in it.
#[cfg(test)]
pub(crate) fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    read_text(path, text, &Environment::of_process()).with_good_files().into_result(path)
}

/// Reads a config file to say everything about it.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn inspect(path: &Path) -> Result<Inspection, ConfigError> {
    Ok(read_file(path)?.with_good_files().into_inspection())
}

/// The same of a text that may become the file at `path`.
pub(crate) fn inspect_text(path: &Path, text: &str) -> Inspection {
    read_text(path, text, &Environment::of_process()).with_good_files().into_inspection()
}

/// All that came of reading.
pub(super) struct Loaded {
    /// The configuration, with defaults in the place of what is wrong; nothing when there is no sense
    /// in the file.
    pub(super) config: Option<Config>,
    pub(super) files: Vec<PathBuf>,
    pub(super) problems: Vec<Problem>,
    #[cfg(test)]
    pub(super) known: KnownKeys,
}

impl Loaded {
    /// Takes files of backends that can't be used for what they are at any time but a start: problems.
    fn with_good_files(mut self) -> Self {
        if let Some(config) = &mut self.config {
            self.problems.append(&mut config.bad_files);
            sort(&mut self.problems, &self.files);
        }
        self
    }

    fn into_inspection(mut self) -> Inspection {
        let warnings = self.config.as_mut().map(|config| std::mem::take(&mut config.warnings));
        let is_valid = self.problems.is_empty();
        let declared = self.config.as_ref().map(|config| &config.declared);
        Inspection {
            domains: declared.map_or(0, |declared| declared.domains.len()),
            backends: declared.map_or(0, |declared| declared.backends.len()),
            files: self.files,
            problems: self.problems,
            warnings: warnings.unwrap_or_default(),
            config: self.config.filter(|_| is_valid).map(Box::new),
        }
    }

    pub(super) fn into_result(self, path: &Path) -> Result<Config, ConfigError> {
        match self.config {
            Some(config) if self.problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Invalid { path: path.to_owned(), problems: self.problems }),
        }
    }
}

fn read_file(path: &Path) -> Result<Loaded, ConfigError> {
    let bytes = read_main(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    Ok(match text_of(path, bytes) {
        Ok(text) => read_text(path, &text, &Environment::of_process()),
        Err(problem) => Loaded {
            config: None,
            files: vec![path.to_owned()],
            problems: vec![*problem],
            #[cfg(test)]
            known: KnownKeys::new(),
        },
    })
}

/// Whoever names the main file may give it through a pipe, so that may be anything; but not endless.
fn read_main(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_CONFIG_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Reads a text and the files that it includes, in any environment.
pub(super) fn read_text(path: &Path, text: &str, environment: &Environment<'_>) -> Loaded {
    let mut files = vec![path.to_owned()];
    let main = Document::parse(path, text, environment);
    if !main.is_readable {
        let (report, _) = main.into_report();
        let (problems, _) = report.finish(&KnownKeys::new());
        return Loaded {
            config: None,
            files,
            problems,
            #[cfg(test)]
            known: KnownKeys::new(),
        };
    }
    let mut root = Section::root(&main.report, main.table.get_ref());
    let mut included = read_included(&mut root, path);
    files.append(&mut included.files);
    let mut config = settings::read(&mut root, environment);
    let reserved_paths = config.reserved_paths();
    refuse_reserved_paths(&mut root, &mut included, &reserved_paths);
    let documents: Vec<_> = included
        .texts
        .iter()
        .map(|(path, text)| Document::parse(path, text, environment))
        .collect();
    let is_complete =
        !included.is_incomplete && documents.iter().all(|document| document.is_readable);
    let mut roots = vec![root];
    let readable = documents.iter().filter(|document| document.is_readable);
    roots.extend(readable.map(|d| Section::root(&d.report, d.table.get_ref())));
    config.declared = read_declared(&mut roots, is_complete, &reserved_paths);
    let pages = config.declared.domains.iter().flat_map(|domain| {
        let files = domain.options.get().error_pages.files();
        files.map(|(_, path)| path.to_owned()).collect::<Vec<_>>()
    });
    config.named_pages = pages.collect();
    let mut roots = roots.into_iter();
    let known_at_root = roots.next().map(Section::finish).map(|()| main.report.known());
    let known = known_at_root.unwrap_or_default();
    for mut root in roots {
        refuse_main_keys(&mut root, path, known.get("").map_or(&[], Vec::as_slice));
        root.finish();
    }

    let mut problems = Vec::new();
    for document in std::iter::once(main).chain(documents) {
        let (report, broken_lines) = document.into_report();
        config.warnings.extend(report.warnings.take());
        config.bad_files.extend(report.bad_files.take());
        config.peer_files.extend(report.peer_files.take());
        let (mut found, settings) = report.finish(&known);
        Document::without_echoes(&broken_lines, &mut found);
        problems.extend(found);
        config.effective.extend(settings);
    }
    problems.extend(included.problems);
    sort(&mut problems, &files);
    config.files.clone_from(&files);
    Loaded {
        config: Some(config),
        files,
        problems,
        #[cfg(test)]
        known,
    }
}

/// Puts problems in the order of the files, which is not that in which they were found.
fn sort(problems: &mut [Problem], files: &[PathBuf]) {
    let file = |problem: &Problem| files.iter().position(|file| *file == problem.file);
    problems.sort_by_key(|problem| (file(problem), problem.line, problem.column));
}

/// The default of every key of an entry that has one, by its path, such as `backends.weight`.
pub(super) fn defaults() -> Vec<(String, Value)> {
    let top = record::defaults::<TopOptions>().into_iter();
    let of_backends = record::defaults::<BackendOptions>().into_iter();
    let of_apps = record::defaults::<AppOptions>().into_iter();
    let top = top.map(|(key, value)| (format!("virtual_hosts.{key}"), value));
    let of_backends = of_backends.map(|(key, value)| (format!("backends.{key}"), value));
    let of_apps = of_apps.map(|(key, value)| (format!("apps.{key}"), value));
    top.chain(of_backends).chain(of_apps).collect()
}

#[cfg(test)]
mod tests;
