//! Puts a backup back. What was there is moved aside, never removed.
//!
//! Several files in two directories can't be replaced in one step. So a marker says that it was begun, and a server
//! doesn't start as long as that is there.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::check::unpack;
use super::dirs::{AUTHORITY, SMALL_FILES};
use super::entry::CERTS;
use super::error::at;
use super::make::{UNPACKED, private_beside};
use super::owner::Owner;
use super::{BackupError, Checked, StateDirs, archive};
use crate::acme::own_directories;
use crate::atomic_file;
use crate::clock::now_ms;
use crate::crash_point::crash_point;
use crate::store::{DATABASE_FILES, Store, UNFINISHED_RESTORE};

/// A backup that was put back.
#[derive(Debug)]
pub(crate) struct Restored {
    /// What is there now.
    pub checked: Checked,
    /// Where what was there before is now; none where there was nothing.
    pub aside: Vec<PathBuf>,
}

/// A move of a file or a directory.
struct Move {
    from: PathBuf,
    to: PathBuf,
}

/// Puts the backup at `path` into the directories of a server, which must not run. `socket` is where it would answer.
///
/// # Errors
/// When a server runs, or the backup is not sound: then nothing has changed. When what is there can't be replaced.
pub(crate) fn restore(
    path: &Path,
    dirs: &StateDirs,
    socket: Option<&Path>,
) -> Result<Restored, BackupError> {
    if let Some(socket) = socket.filter(|socket| UnixStream::connect(socket).is_ok()) {
        return Err(BackupError::Runs { socket: socket.to_owned() });
    }
    // Before a directory is made for it.
    archive::read(path, |_, from| {
        io::copy(from, &mut io::sink()).map(drop).map_err(archive::unreadable(true))
    })?;
    let was_there = dirs.state.exists();
    let held = Store::hold(&dirs.state)?;
    let restored = restore_held(path, dirs);
    if restored.is_err() && !was_there {
        // Only what was made just now: a directory that has something in it stays.
        let _ = std::fs::remove_file(dirs.state.join("lock"));
        let _ = std::fs::remove_dir(&dirs.state);
    }
    drop(held);
    restored
}

fn restore_held(path: &Path, dirs: &StateDirs) -> Result<Restored, BackupError> {
    // On the file system where it goes, so that it only has to be renamed there.
    remove_unpacked(&dirs.state).map_err(at(&dirs.state))?;
    let beside = private_beside(&dirs.state)?;
    let mut checked = unpack(path, beside.path())?;
    if !checked.problems.is_empty() {
        return Err(BackupError::Unsound { problems: std::mem::take(&mut checked.problems) });
    }
    let unpacked = StateDirs::unpacked(beside.path());
    atomic_file::private_directory(&dirs.cache).map_err(at(&dirs.cache))?;
    let owner = Owner::of(&dirs.state).map_err(at(&dirs.state))?;
    give(beside.path(), owner)?;
    owner.gets(&dirs.cache).map_err(at(&dirs.cache))?;
    owner.gets(&dirs.state.join("lock")).map_err(at(&dirs.state))?;
    let certs_elsewhere = if can_move(beside.path(), &dirs.cache) {
        None
    } else {
        let elsewhere = private_beside(&dirs.cache)?;
        copy_tree(&unpacked.cache, &elsewhere.path().join(CERTS), owner)?;
        Some(elsewhere)
    };
    let new_certs = certs_elsewhere
        .as_ref()
        .map_or(unpacked.cache.clone(), |elsewhere| elsewhere.path().join(CERTS));

    let name = format!("before-restore-{}", humantime_of(now_ms()));
    let (state_aside, certs_aside) = (dirs.state.join(&name), certs_aside(dirs, &name));
    let before = moves_aside(dirs, &state_aside, &certs_aside)?;
    let mut after = Vec::new();
    for name in DATABASE_FILES.into_iter().chain(SMALL_FILES).chain([AUTHORITY]) {
        let from = unpacked.state.join(name);
        if from.exists() {
            after.push(Move { from, to: dirs.state.join(name) });
        }
    }
    for from in own_directories(&new_certs).map_err(at(&new_certs))? {
        let name = from.file_name().unwrap_or_default().to_owned();
        after.push(Move { from, to: dirs.cache.join(name) });
    }

    let marker = dirs.state.join(UNFINISHED_RESTORE);
    atomic_file::write(&marker, name.as_bytes()).map_err(at(&marker))?;
    crash_point("restore.begun");
    let replaced = replace(&before, &after, owner);
    replaced.and_then(|()| atomic_file::remove(&marker)).map_err(|source| {
        let (state, aside) = (dirs.state.clone(), state_aside.clone());
        BackupError::Unfinished { state, aside, source }
    })?;
    let mut aside = vec![state_aside, certs_aside];
    aside.retain(|aside| aside.exists());
    aside.dedup_by(|second, first| second.starts_with(first));
    Ok(Restored { checked, aside })
}

/// What is there, and where it goes.
fn moves_aside(
    dirs: &StateDirs,
    state_aside: &Path,
    certs_aside: &Path,
) -> Result<Vec<Move>, BackupError> {
    let mut before = Vec::new();
    for name in DATABASE_FILES.into_iter().chain(SMALL_FILES).chain([AUTHORITY]) {
        let from = dirs.state.join(name);
        if std::fs::symlink_metadata(&from).is_ok() {
            before.push(Move { from, to: state_aside.join(name) });
        }
    }
    for from in own_directories(&dirs.cache).map_err(at(&dirs.cache))? {
        let name = from.file_name().unwrap_or_default().to_owned();
        before.push(Move { from, to: certs_aside.join(name) });
    }
    Ok(before)
}

/// Where certificates go that are there: with the state, if that is possible.
fn certs_aside(dirs: &StateDirs, name: &str) -> PathBuf {
    let is_inside = dirs.cache.starts_with(&dirs.state) && can_move(&dirs.cache, &dirs.state);
    if is_inside { dirs.state.join(name).join(CERTS) } else { dirs.cache.join(name) }
}

fn replace(before: &[Move], after: &[Move], owner: Owner) -> io::Result<()> {
    for Move { from, to } in before {
        if let Some(parent) = to.parent() {
            atomic_file::private_directory(parent)?;
            owner.gets(parent)?;
        }
        atomic_file::rename(from, to)?;
        crash_point("restore.aside");
    }
    for Move { from, to } in after {
        atomic_file::rename(from, to)?;
        crash_point("restore.moved");
    }
    Ok(())
}

/// Whether a file can be renamed from one directory into another: a mount may be between them that nothing shows.
fn can_move(from: &Path, to: &Path) -> bool {
    let Ok(probe) = tempfile::Builder::new().prefix(UNPACKED).tempfile_in(from) else {
        return false;
    };
    let there = to.join(probe.path().file_name().unwrap_or_default());
    let moved = std::fs::rename(probe.path(), &there).is_ok();
    if moved {
        let _ = std::fs::remove_file(there);
    }
    moved
}

/// Removes what restores that were cut short have unpacked.
fn remove_unpacked(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_unpacked = entry.file_name().to_str().is_some_and(|name| name.starts_with(UNPACKED));
        if is_unpacked && entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Gives all that is below a directory to the owner, and syncs the directories.
fn give(directory: &Path, owner: Owner) -> Result<(), BackupError> {
    owner.gets(directory).map_err(at(directory))?;
    for entry in std::fs::read_dir(directory).map_err(at(directory))? {
        let path = entry.map_err(at(directory))?.path();
        if path.is_dir() {
            give(&path, owner)?;
        } else {
            owner.gets(&path).map_err(at(&path))?;
        }
    }
    atomic_file::sync(directory).map_err(at(directory))
}

/// Copies files that were unpacked on another file system.
fn copy_tree(from: &Path, to: &Path, owner: Owner) -> Result<(), BackupError> {
    atomic_file::private_directory(to).map_err(at(to))?;
    let entries = match std::fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(at(from))?,
    };
    for entry in entries {
        let entry = entry.map_err(at(from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_tree(&from, &to, owner)?;
        } else {
            let bytes = std::fs::read(&from).map_err(at(&from))?;
            atomic_file::write(&to, &bytes).map_err(at(&to))?;
            owner.gets(&to).map_err(at(&to))?;
        }
    }
    owner.gets(to).map_err(at(to))
}

/// A time in a file name.
fn humantime_of(at_ms: u64) -> String {
    let text = humantime::format_rfc3339_millis(crate::clock::time(at_ms)).to_string();
    text.chars().filter(|c| !matches!(c, ':' | '-')).collect()
}
