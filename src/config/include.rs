//! `include`: the files that a config file names beside itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::text_of;
use super::effective::Origin;
use super::problem::Problem;
use super::reader::Section;
use super::value::string;
use crate::plain_file;
use crate::reserved_paths::ReservedPaths;

/// The largest config file: a hundred thousand domains take a quarter of it.
pub(super) const MAX_CONFIG_BYTES: u64 = 64 * 1024 * 1024;

/// What a file that is included may hold.
pub(crate) const INCLUDED_KEYS: [&str; 3] = ["apps", "virtual_hosts", "backends"];

/// The files that a config file includes, in the order they are named, those of a pattern by name.
#[derive(Default)]
pub(super) struct Included {
    /// The texts that could be read.
    pub(super) texts: Vec<(PathBuf, String)>,
    /// Which element of `include` named each of them.
    places: Vec<usize>,
    /// All files that were found.
    pub(super) files: Vec<PathBuf>,
    /// Files that are no text.
    pub(super) problems: Vec<Problem>,
    /// Whether something is missing that may declare what others refer to.
    pub(super) is_incomplete: bool,
}

/// Reads what the `include` of `root`, the section of the file at `path`, names.
pub(super) fn read_included(root: &mut Section<'_, '_>, path: &Path) -> Included {
    let mut included = Included::default();
    let mut seen: BTreeSet<PathBuf> = path.canonicalize().into_iter().collect();
    let names = root.elements("include", "[\"conf.d/*.toml\"]", string);
    if names.is_none() {
        included.is_incomplete = root.has("include");
        root.list_default("include", Some(Vec::<String>::new().into()), Origin::Default);
    }
    for (index, (name, _)) in names.into_iter().flatten().enumerate() {
        let refuse = |message: String| root.element_problem("include", index, message);
        let found = match files_of(path, &name) {
            Ok(found) => found,
            Err(message) => {
                included.is_incomplete = true;
                refuse(message);
                continue;
            }
        };
        for file in found {
            // Named twice, or by another name: read once. A pattern that fits the file itself too
            // means the others.
            if !seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                continue;
            }
            match plain_file::read(&file, MAX_CONFIG_BYTES) {
                Ok(bytes) => match text_of(&file, bytes) {
                    Ok(text) => {
                        included.texts.push((file.clone(), text));
                        included.places.push(index);
                    }
                    Err(problem) => {
                        included.is_incomplete = true;
                        included.problems.push(*problem);
                    }
                },
                Err(error) => {
                    included.is_incomplete = true;
                    refuse(format!("cannot read `{}`: {error}", file.display()));
                }
            }
            included.files.push(file);
        }
    }
    included
}

/// Takes out what is in a place of the server's own, and says so: nothing of it is read or quoted.
pub(super) fn refuse_reserved_paths(
    root: &mut Section<'_, '_>,
    included: &mut Included,
    reserved_paths: &ReservedPaths,
) {
    let texts = std::mem::take(&mut included.texts);
    for ((file, text), index) in texts.into_iter().zip(&included.places) {
        if reserved_paths.holds(&file) {
            included.is_incomplete = true;
            let message = format!(
                "`{}` is in a place of the server's own; keep it beside the config file",
                file.display()
            );
            root.element_problem("include", *index, message);
        } else {
            included.texts.push((file, text));
        }
    }
}

/// The files that one element of `include` names.
fn files_of(path: &Path, name: &str) -> Result<Vec<PathBuf>, String> {
    let base = path.parent().unwrap_or(Path::new(""));
    if !name.contains(['*', '?', '[']) {
        let file = base.join(name);
        return if file.is_file() {
            Ok(vec![file])
        } else if file.exists() {
            Err(format!(
                "`{}` is no file; to include a directory's, write `{name}/*.toml`",
                file.display()
            ))
        } else {
            Err(format!(
                "there is no file `{}`; a pattern such as `conf.d/*.toml` may match none",
                file.display()
            ))
        };
    }
    // The directory of the file is meant literally.
    let base = glob::Pattern::escape(&base.to_string_lossy());
    let pattern = Path::new(&base).join(name);
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        // What editors leave beside a file begins with a dot.
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(&pattern.to_string_lossy(), options)
        .map_err(|error| format!("no valid pattern: {}", error.msg))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|error| {
            format!("cannot read `{}`: {}", error.path().display(), error.error())
        })?;
        if !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Tells keys of an included file that only the main file may hold; `main` are the main file's.
pub(super) fn refuse_main_keys(root: &mut Section<'_, '_>, main: &Path, known: &[&'static str]) {
    for key in known.iter().copied().filter(|key| !INCLUDED_KEYS.contains(key)) {
        if root.has(key) {
            let message = if key == "include" {
                format!(
                    "a file that is included cannot include others; name them in `include` of `{}`",
                    main.display()
                )
            } else {
                format!(
                    "`[{key}]` belongs in the main file, `{}`; a file that is included holds \
                     `[[apps]]`, `[[virtual_hosts]]` and `[[backends]]`",
                    main.display()
                )
            };
            root.problem(key, message);
            root.knows(key);
        }
    }
}

#[cfg(test)]
mod tests;
