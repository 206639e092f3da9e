//! Whether the files below `cache_dir` can be used, all of them: for whoever checks them without a server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::account::is_account;
use super::order_file::OrderFile;
use super::storage::{IMPORTED, Stored, bundles_of};
use crate::plain_file::{self, MAX_PEM_BYTES};

/// The directories of a CA that hold files.
const OF_A_CA: [&str; 2] = ["orders", "certs"];

/// What was found below `cache_dir`.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The files, each with its path below `cache_dir`. Orders come first: the certificate of one that is done in the
    /// meantime is found afterwards.
    pub files: Vec<PathBuf>,
    /// Certificates that can be used.
    pub certificates: usize,
    /// Files that can't be used, and why.
    pub problems: Vec<(PathBuf, String)>,
}

impl Survey {
    /// The files that are ours. Those of others are left out.
    ///
    /// # Errors
    /// When a directory can't be read.
    pub(crate) fn list(cache_dir: &Path) -> io::Result<Self> {
        let mut survey = Self::default();
        for directory in own_directories(cache_dir)? {
            let name = directory.file_name().map(PathBuf::from).unwrap_or_default();
            if name == Path::new(IMPORTED) {
                survey.add_files_of(&directory, &name)?;
                continue;
            }
            for inner in OF_A_CA {
                survey.add_files_of(&directory.join(inner), &name.join(inner))?;
            }
            survey.add_files_of(&directory, &name)?;
        }
        Ok(survey)
    }

    /// The same, with each file read; `usable` says of a bundle whether its certificate can be used.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub(crate) fn read(
        cache_dir: &Path,
        usable: impl Fn(&Stored) -> Result<(), String>,
    ) -> io::Result<Self> {
        let mut survey = Self::list(cache_dir)?;
        for directory in own_directories(cache_dir)? {
            let is_ca = !directory.ends_with(IMPORTED);
            let certs = if is_ca { directory.join("certs") } else { directory.clone() };
            let loaded = bundles_of(certs.clone()).load();
            survey.problems.extend(loaded.problems);
            for stored in &loaded.stored {
                match usable(stored) {
                    Ok(()) => survey.certificates += 1,
                    Err(why) => survey.problems.push((certs.join(stored.name.to_string()), why)),
                }
            }
            if is_ca {
                let account = directory.join("account.json");
                survey.look(&account, is_account);
                for order in files_of(&directory.join("orders"))? {
                    survey.look(&order, |json| serde_json::from_slice::<OrderFile>(json).map(drop));
                }
            }
        }
        Ok(survey)
    }

    fn look(&mut self, path: &Path, look: impl Fn(&[u8]) -> serde_json::Result<()>) {
        let why = match plain_file::read(path, MAX_PEM_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => error.to_string(),
            // Its own text could quote the key.
            Ok(json) => match look(&json) {
                Ok(()) => return,
                Err(error) => format!("line {} is not as it was written", error.line()),
            },
        };
        self.problems.push((path.to_owned(), why));
    }

    fn add_files_of(&mut self, directory: &Path, name: &Path) -> io::Result<()> {
        for file in files_of(directory)? {
            self.files.extend(file.file_name().map(|file| name.join(file)));
        }
        Ok(())
    }
}

/// The directories of CAs and of what was imported.
pub(crate) fn own_directories(cache_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let is_own = |path: &PathBuf| {
        path.ends_with(IMPORTED)
            || ["account.json", "certs", "orders"].iter().any(|ours| path.join(ours).exists())
    };
    let mut own = entries_of(cache_dir)?;
    own.retain(|path| path.is_dir() && is_own(path));
    Ok(own)
}

/// Plain files that are whole and hold something to keep, in order.
fn files_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let is_kept = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Nor locks, which begin anew.
        path.is_file()
            && !crate::atomic_file::is_unfinished(name)
            && path.extension().is_none_or(|of| of != "lock")
    };
    let mut files = entries_of(directory)?;
    files.retain(is_kept);
    Ok(files)
}

fn entries_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let entries: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    Ok(entries)
}
