//! Keeps two servers from using one state directory.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::Uid;

use super::StoreError;
use crate::atomic_file;

/// How long the kernel may take to let go of what a process held that was killed.
const LET_GO: Duration = Duration::from_secs(5);

/// Says that a restore was cut short: what is in the directory is no state.
pub(crate) const UNFINISHED_RESTORE: &str = "restore.unfinished";

/// Holds the state directory. The kernel lets go when the process ends, however it ends, so there is
/// no stale lock.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    /// The file `lock`, by which servers of before know that the directory is in use.
    _file: Flock<File>,
    /// The directory itself: a file that is removed takes no lock away. None on file systems that lock
    /// no directories.
    _directory: Option<Flock<File>>,
}

/// Makes the directory when it is missing, private to the user, and takes its lock.
pub(super) fn acquire(directory: &Path) -> Result<DirectoryLock, StoreError> {
    let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
    let in_use = || StoreError::InUse { path: directory.to_owned() };
    atomic_file::private_directory(directory).map_err(failed)?;
    tighten(directory)?;
    let own = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open(directory)
        .map_err(failed)?;
    let own = match Flock::lock(own, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Some(held),
        Err((_, Errno::EWOULDBLOCK)) => return Err(in_use()),
        // NFS locks only what is open for writing, which a directory never is.
        Err((_, Errno::EBADF | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOLCK)) => None,
        Err((_, errno)) => return Err(failed(errno.into())),
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        // A FIFO of that name is an error, not a wait.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(directory.join("lock"))
        .map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => {
            atomic_file::remove_unfinished(directory).map_err(failed)?;
            Ok(DirectoryLock { _file: held, _directory: own })
        }
        Err((_, Errno::EWOULDBLOCK)) => Err(in_use()),
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

/// The same, where a process may just have ended that held it: the kernel lets go of one thing after the other.
pub(super) fn acquire_from_ended(directory: &Path) -> Result<DirectoryLock, StoreError> {
    let deadline = Instant::now() + LET_GO;
    loop {
        match acquire(directory) {
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            ended => return ended,
        }
    }
}

/// Whether [`acquire`] could make or use the directory. Who holds its lock is not looked at. Changes nothing.
pub(super) fn check(directory: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
    atomic_file::check_directory(directory).map_err(failed)?;
    if !directory.exists() {
        return Ok(());
    }
    if is_open(directory)? {
        let (user, found) = (Uid::effective(), std::fs::metadata(directory).map_err(failed)?);
        if !user.is_root() && found.uid() != user.as_raw() {
            // Only its owner can make it private.
            return Err(failed(Errno::EPERM.into()));
        }
    }
    atomic_file::check_file(&directory.join("lock")).map_err(failed)
}

/// Refuses a directory in which a restore was cut short.
pub(super) fn refuse_unfinished(directory: &Path) -> Result<(), StoreError> {
    if directory.join(UNFINISHED_RESTORE).exists() {
        return Err(StoreError::HalfRestored { path: directory.to_owned() });
    }
    Ok(())
}

/// Takes away whatever the group and others may.
fn tighten(directory: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
    if !is_open(directory)? {
        return Ok(());
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Whether the group and others may do anything in the directory. One that is not the state's alone, such
/// as `/tmp`, can't be made private: others would then miss it.
fn is_open(directory: &Path) -> Result<bool, StoreError> {
    let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
    let now = std::fs::metadata(directory).map_err(failed)?.permissions().mode();
    if now & 0o077 == 0 {
        return Ok(false);
    }
    let is_ours = directory.join("state.db").exists();
    if !is_ours && std::fs::read_dir(directory).map_err(failed)?.next().is_some() {
        return Err(StoreError::Shared { path: directory.to_owned() });
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_one_servers_with_or_without_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let held = acquire(&path).unwrap();
        assert!(matches!(acquire(&path), Err(StoreError::InUse { .. })));
        std::fs::remove_file(path.join("lock")).unwrap();
        assert!(matches!(acquire(&path), Err(StoreError::InUse { .. })));
        drop(held);
        drop(acquire(&path).unwrap());
        // A server of before locks the file alone.
        let file = File::create(path.join("lock")).unwrap();
        let before = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        assert!(matches!(acquire(&path), Err(StoreError::InUse { .. })));
        drop(before);
        acquire(&path).unwrap();
    }
}
