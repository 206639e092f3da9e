//! Replaces a file so that readers, and a crash at any moment, find the old content or the new one.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
use tempfile::{NamedTempFile, PersistError};

use crate::crash_point::crash_point;

/// Marks files that are being written; one that stays was left behind by a crash.
const UNFINISHED: &str = ".unfinished-";

/// Writes `content` to `path`, readable by the owner alone: a file beside it is written and synced,
/// renamed, and the rename is synced. Works on a blocking thread.
///
/// # Errors
/// When a step fails; `path` then is what it was.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_by(path, |file| file.write_all(content), |file| file.persist(path))
}

/// As [`write`], with the mode that the file is to have, and in the place of another file only if
/// `replaces`.
///
/// # Errors
/// As [`write`], and when something is there that is not to be replaced.
pub(crate) fn write_with_mode(
    path: &Path,
    content: &[u8],
    mode: u32,
    replaces: bool,
) -> io::Result<()> {
    write_by(
        path,
        |file| file.write_all(content),
        |file| {
            if let Err(error) = file.as_file().set_permissions(Permissions::from_mode(mode)) {
                return Err(PersistError { error, file });
            }
            if replaces { file.persist(path) } else { file.persist_noclobber(path) }
        },
    )
}

/// As [`write`], of what `write` writes piece by piece, and in the place of another file only if `replaces`.
///
/// # Errors
/// As [`write_with_mode`], and those of `write`.
pub(crate) fn write_filled<E: From<io::Error>>(
    path: &Path,
    replaces: bool,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    write_by(
        path,
        write,
        |file| {
            if replaces { file.persist(path) } else { file.persist_noclobber(path) }
        },
    )
}

fn write_by<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
    rename: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> Result<(), E> {
    let directory = parent_of(path);
    // Of mode 0600 from its beginning, and gone when it is not renamed.
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
    crash_point("file");
    write(file.as_file_mut())?;
    crash_point("file.written");
    file.as_file().sync_all()?;
    crash_point("file.synced");
    rename(file).map_err(|error| error.error)?;
    crash_point("file.renamed");
    sync(directory)?;
    crash_point("file.done");
    Ok(())
}

/// Moves a file or directory to where nothing is, on the same file system, and syncs both ends.
///
/// # Errors
/// When it can't be moved.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync(parent_of(from))?;
    sync(parent_of(to))
}

/// Removes a file that may be gone already, and syncs that.
///
/// # Errors
/// When it can't be removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    crash_point("file.remove");
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            crash_point("file.removed");
            sync(parent_of(path))
        }
    }
}

/// Makes a directory with its parents, each private to the owner, so that they outlive a power cut as what is in them does.
///
/// # Errors
/// When it can't be made.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    private_directory(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => {
            made?;
            sync(parent)
        }
    }
}

/// Whether a directory can be written to by this process, or could be made with [`private_directory`].
/// Changes nothing.
///
/// # Errors
/// With what would be the system's reason.
pub(crate) fn check_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => allows(path, AccessFlags::W_OK | AccessFlags::X_OK),
        Ok(_) => Err(Errno::EEXIST.into()),
        // A link that leads nowhere can't be made a directory.
        Err(_) if path.is_symlink() => Err(Errno::EEXIST.into()),
        Err(error) => match (error.kind(), path.parent()) {
            (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, Some(_)) => {
                check_directory(parent_of(path))
            }
            _ => Err(error),
        },
    }
}

/// Whether a file can be written to by this process, or could be made. Changes nothing.
///
/// # Errors
/// With what would be the system's reason.
pub(crate) fn check_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Errno::EISDIR.into()),
        Ok(_) => allows(path, AccessFlags::W_OK),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = parent_of(path);
            fs::metadata(directory)?;
            allows(directory, AccessFlags::W_OK | AccessFlags::X_OK)
        }
        Err(error) => Err(error),
    }
}

/// Whether this process may do so with what is at `path`, by the rights that it acts with.
///
/// # Errors
/// With the system's reason.
pub(crate) fn allows(path: &Path, access: AccessFlags) -> io::Result<()> {
    Ok(faccessat(AT_FDCWD, path, access, AtFlags::AT_EACCESS)?)
}

/// Removes what writes that were cut short have left in a directory, which may hold secrets. Nobody else may be writing there.
///
/// # Errors
/// When the directory can't be read, or a file can't be removed.
pub(crate) fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_unfinished) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether a file name is that of a write that was cut short.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED)
}

fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Has what was made, renamed or removed in a directory outlive a power cut.
///
/// # Errors
/// When the disk fails.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_stays_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        for content in ["one", "another"] {
            write(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_a_crash_has_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        write(&path, b"kept").unwrap();
        fs::write(directory.path().join(".unfinished-x1"), "a secret").unwrap();
        remove_unfinished(directory.path()).unwrap();
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().flatten().collect();
        assert_eq!(left.iter().map(fs::DirEntry::path).collect::<Vec<_>>(), [path]);
    }

    #[test]
    fn a_directory_is_made_with_its_parents_and_all_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one").join("two");
        for _ in 0..2 {
            private_directory(&path).unwrap();
            for made in [&path, path.parent().unwrap()] {
                assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
            }
        }
        fs::write(path.join("file"), "").unwrap();
        assert!(private_directory(&path.join("file")).is_err());
        assert!(private_directory(&path.join("file").join("three")).is_err());
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "kept").unwrap();
        assert!(write(&path, b"new").is_err());
        assert_eq!(fs::read_to_string(path.join("inside")).unwrap(), "kept");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
