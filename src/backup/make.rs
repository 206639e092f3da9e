//! Makes a backup, beside a running server or not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::archive::Writer;
use super::dirs::{AUTHORITY, SMALL_FILES};
use super::entry::{CERTS, EntryName, STATE};
use super::error::at;
use super::manifest::FORMAT;
use super::{BackupError, Manifest, StateDirs};
use crate::acme::Survey;
use crate::atomic_file;
use crate::clock::now_ms;
use crate::plain_file::{self, MAX_PEM_BYTES};
use crate::store::{FILE, Store};

/// How directories are called that are needed for a while.
pub(super) const UNPACKED: &str = ".vhost-state-";

/// A backup that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub manifest: Manifest,
    pub domains: usize,
    pub backends: usize,
    /// The length of the file.
    pub bytes: u64,
    /// What was left out, and what is in it that can't be read.
    pub warnings: Vec<String>,
}

/// What goes into a backup, read when it was found: a server may change it afterwards.
pub(super) struct Gathered {
    pub(super) files: Vec<(EntryName, Vec<u8>)>,
    pub(super) left_out: Vec<String>,
}

/// Writes what a machine needs to come back to `path`: whole or not at all, readable by the user alone, and in the place
/// of another file only with `force`.
///
/// # Errors
/// When something can't be read, or the file can't be written.
pub(crate) fn make(dirs: &StateDirs, path: &Path, force: bool) -> Result<Made, BackupError> {
    if !force && std::fs::symlink_metadata(path).is_ok() {
        return Err(BackupError::Exists { path: path.to_owned() });
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Beside the file, where there has to be room for it anyway, and which nobody else may read.
    let beside = private_beside(parent.unwrap_or(Path::new(".")))?;
    let database = beside.path().join(FILE);
    Store::copy_to(&dirs.state, &database)?;
    let audit = Store::audit(&database)?;
    let Gathered { files, left_out } = gather(dirs)?;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: audit.schema,
        revision: audit.revision,
        made_ms: now_ms(),
        files: files.len() + 1,
    };
    let written = atomic_file::write_filled(path, force, |file| {
        let mut writer = Writer::new(file, &manifest)?;
        writer.add_file(&name_in(STATE, FILE), &database)?;
        for (name, bytes) in &files {
            writer.add_bytes(name, bytes)?;
        }
        writer.finish()
    });
    written.map_err(|error| match error {
        BackupError::Write(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            BackupError::Exists { path: path.to_owned() }
        }
        BackupError::Write(source) => BackupError::File { path: path.to_owned(), source },
        error => error,
    })?;
    let bytes = std::fs::metadata(path).map_err(at(path))?.len();
    let warnings = left_out.into_iter().chain(audit.problems).collect();
    Ok(Made { manifest, domains: audit.domains, backends: audit.backends, bytes, warnings })
}

/// A directory for what is needed for a while. Dropping it removes it.
pub(super) fn private_beside(directory: &Path) -> Result<tempfile::TempDir, BackupError> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(UNPACKED).permissions(Permissions::from_mode(0o700));
    builder.tempdir_in(directory).map_err(at(directory))
}

/// Reads all but the database.
pub(super) fn gather(dirs: &StateDirs) -> Result<Gathered, BackupError> {
    let mut gathered = Gathered { files: Vec::new(), left_out: Vec::new() };
    for name in SMALL_FILES {
        gathered.add(STATE, Path::new(name), &dirs.state.join(name))?;
    }
    for file in files_of(&dirs.state.join(AUTHORITY))? {
        let name = Path::new(AUTHORITY).join(&file);
        gathered.add(STATE, &name, &dirs.state.join(&name))?;
    }
    for file in Survey::list(&dirs.cache).map_err(at(&dirs.cache))?.files {
        gathered.add(CERTS, &file, &dirs.cache.join(&file))?;
    }
    Ok(gathered)
}

impl Gathered {
    fn add(&mut self, directory: &str, name: &Path, path: &Path) -> Result<(), BackupError> {
        let bytes = match plain_file::read(path, MAX_PEM_BYTES) {
            // Not made yet, or removed since it was found.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            bytes => bytes.map_err(at(path))?,
        };
        match EntryName::of(directory, name) {
            Some(name) => self.files.push((name, bytes)),
            None => self
                .left_out
                .push(format!("left out: `{}` has a name that is not ours", path.display())),
        }
        Ok(())
    }
}

fn files_of(directory: &Path) -> Result<Vec<std::ffi::OsString>, BackupError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at(directory))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(directory))?;
        let name = entry.file_name();
        if entry.path().is_file() && !name.to_str().is_some_and(atomic_file::is_unfinished) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn name_in(directory: &str, file: &str) -> EntryName {
    EntryName::of(directory, Path::new(file))
        .expect("the database is an entry of the state's folder")
}
