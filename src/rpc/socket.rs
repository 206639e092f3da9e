//! The admin socket's file: made private, never taken from a server that is alive.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Gid, Group, Uid};

use super::folder::{self, FolderError};
use super::peer_check::PeerCheck;
use crate::atomic_file;

/// Why the admin socket can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Another server answers there.
    #[error("another server is listening on the admin socket `{path}`")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is there.
    #[error("`{path}` exists and is not a socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Strangers may have made its directory.
    #[error("the directory of the admin socket `{path}` cannot be trusted")]
    Untrusted {
        /// The socket.
        path: PathBuf,
        /// What is wrong with the directory.
        #[source]
        source: FolderError,
    },
    /// There is no such group.
    #[error("there is no group `{group}`")]
    UnknownGroup {
        /// The name in `proxy.admin_group`.
        group: String,
    },
    /// The socket's file can't be given to the group.
    #[error("this process is not in the group `{group}`, so it cannot give the socket to it")]
    NotAMember {
        /// The name in `proxy.admin_group`.
        group: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The group has no id here.
    #[error(
        "the group `{group}` is not mapped in this user namespace, so the socket cannot be given to it"
    )]
    UnmappedGroup {
        /// The name in `proxy.admin_group`.
        group: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot open the admin socket `{path}`")]
    System {
        /// The socket.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
}

impl SocketError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        let hint = match self {
            Self::InUse { .. } => {
                "stop the other server, or give this one a `proxy.admin_socket` of its own"
            }
            Self::NotASocket { .. } => "move it away, or set `proxy.admin_socket` to another path",
            Self::UnknownGroup { .. } => "set `proxy.admin_group` to a group that exists",
            // Who is in a group is read when a process starts.
            Self::NotAMember { group, .. } => {
                return format!(
                    "add `SupplementaryGroups={group}` to the server's systemd unit, or `--group-add {group}` \
                     to its `docker run`, or its user to the group (`usermod --append --groups {group} USER`), \
                     and start it again"
                );
            }
            Self::UnmappedGroup { .. } => {
                "map the group into the namespace (`/etc/subgid`; without `PrivateUsers=` in a systemd unit), \
                 or set `proxy.admin_group` to a group that is mapped"
            }
            Self::System { .. } => {
                "make its directory writable for this user, or set `proxy.admin_socket`"
            }
            Self::Untrusted { source, .. } => return source.hint(),
        };
        hint.to_owned()
    }
}

/// The inode of no file: it is another process's.
const OTHERS: (u64, u64) = (0, 0);

/// A bound admin socket. Dropping it removes its file, if that is still its own.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    pub(super) listener: UnixListener,
    pub(super) peer_check: PeerCheck,
    path: PathBuf,
    group: Option<Gid>,
    inode: (u64, u64),
}

impl AdminSocket {
    /// Opens the socket at `path`: for its user alone, or for the members of `group` too.
    ///
    /// # Errors
    /// When another server listens there, or the file can't be made.
    pub(crate) fn bind(path: &Path, group: Option<&str>) -> Result<Self, SocketError> {
        let failed = |source| SocketError::System { path: path.to_owned(), source };
        let group = group.map(usable_group).transpose()?;
        if let Some(directory) = path.parent() {
            if !directory.exists() {
                DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
            }
            check_trust(path, directory)?;
            if let Some(group) = group {
                open_directory(directory, group).map_err(failed)?;
            }
        }
        make_way(path)?;
        // Made beside its place and moved there when its mode is right: nobody meets it half open.
        let aside = path.with_extension(format!("{}", std::process::id()));
        let _ = std::fs::remove_file(&aside);
        let listener = UnixListener::bind(&aside).map_err(failed)?;
        let placed = place(&aside, path, group);
        let _ = std::fs::remove_file(&aside);
        placed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => SocketError::InUse { path: path.to_owned() },
            _ => failed(source),
        })?;
        listener.set_nonblocking(true).map_err(failed)?;
        let inode = inode(path).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self { listener, peer_check: PeerCheck::new(group), path, group, inode })
    }

    /// Takes over the socket at `path` that another process has opened, and whose file is that one's until it is made its
    /// [own](Self::own): for its user alone, or for the members of `group` too.
    ///
    /// # Errors
    /// When there is no such group.
    pub(crate) fn inherited(
        path: &Path,
        listener: UnixListener,
        group: Option<&str>,
    ) -> Result<Self, SocketError> {
        let failed = |source| SocketError::System { path: path.to_owned(), source };
        let group = group.map(usable_group).transpose()?;
        listener.set_nonblocking(true).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self { listener, peer_check: PeerCheck::new(group), path, group, inode: OTHERS })
    }

    /// Whether the file at `path` is a socket: one that was removed leads nobody to whoever listens at it.
    pub(crate) fn has_file(path: &Path) -> bool {
        is_there(path).unwrap_or(false)
    }

    /// From now on its file is its own, also one that another process has made: whoever may use it.
    pub(crate) fn own(&mut self) {
        if self.inode != OTHERS {
            return;
        }
        self.inode = inode(&self.path).unwrap_or(OTHERS);
        if let Err(error) = self.let_in() {
            tracing::error!(%error, "the admin socket is not for whom the config names");
        }
    }

    fn let_in(&self) -> io::Result<()> {
        if let Some(group) = self.group {
            self.path.parent().map_or(Ok(()), |directory| open_directory(directory, group))?;
            nix::unistd::chown(&self.path, None, Some(group))?;
        }
        std::fs::set_permissions(&self.path, Permissions::from_mode(mode(self.group)))
    }

    /// The socket, for another process to take over.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Leaves its file to the process that has taken over.
    pub(crate) fn leave(&mut self) {
        self.inode = OTHERS;
    }

    /// What accepts its connections, in the runtime that this is called in.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }

    /// Whether [`Self::bind`] would open the socket, as far as that can be known without doing so. Whether
    /// another server listens there is not looked at. Blocks, and changes nothing.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub(crate) fn check(path: &Path, group: Option<&str>) -> Result<(), SocketError> {
        group.map(usable_group).transpose()?;
        let Some(directory) = path.parent() else { return is_there(path).map(drop) };
        check_trust(path, directory)?;
        is_there(path)?;
        atomic_file::check_directory(directory)
            .map_err(|source| SocketError::System { path: path.to_owned(), source })
    }

    /// Lets this very process in no more. A server never calls itself: what it connects to is a
    /// backend, and a stranger's request would come in with the rights of the server's user.
    #[must_use]
    pub(crate) fn refusing_itself(mut self) -> Self {
        self.peer_check = self.peer_check.refusing_itself();
        self
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|now| now == self.inode) {
            // A file that stays is stale, and the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn group_id(name: &str) -> Result<Gid, SocketError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        _ => Err(SocketError::UnknownGroup { group: name.to_owned() }),
    }
}

/// The group, if this process may give files to it.
fn usable_group(name: &str) -> Result<Gid, SocketError> {
    let group = group_id(name)?;
    match try_to_give(group) {
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(SocketError::NotAMember { group: name.to_owned(), source })
        }
        // `EINVAL`: the id has no place in the namespace.
        Err(source) if source.kind() == io::ErrorKind::InvalidInput => {
            Err(SocketError::UnmappedGroup { group: name.to_owned(), source })
        }
        // Whatever else is wrong shows where the socket is made.
        _ => Ok(group),
    }
}

/// Gives a file that only exists in memory to the group: the kernel alone knows whether that is allowed,
/// which depends on groups, capabilities and namespaces.
fn try_to_give(group: Gid) -> io::Result<()> {
    // A system that has no such files has the answer where the socket is made.
    let Ok(file) = memfd_create("vhost", MFdFlags::MFD_CLOEXEC) else { return Ok(()) };
    std::os::unix::fs::fchown(file, None, Some(group.as_raw()))
}

/// Lets the group through a directory that is the server's alone: one that it made now, or on an
/// earlier start without a group.
fn open_directory(directory: &Path, group: Gid) -> io::Result<()> {
    let metadata = std::fs::metadata(directory)?;
    let (mode, own) = (metadata.mode() & 0o7777, metadata.uid() == Uid::effective().as_raw());
    let lets_through = mode & 0o001 != 0 || (mode & 0o010 != 0 && metadata.gid() == group.as_raw());
    if lets_through {
        return Ok(());
    }
    if !own || mode & 0o070 != 0 {
        // Somebody gave it to others on purpose; it is not ours to change.
        tracing::warn!(
            directory = %directory.display(),
            "the admin group cannot reach the socket through its directory"
        );
        return Ok(());
    }
    nix::unistd::chown(directory, None, Some(group))?;
    std::fs::set_permissions(directory, Permissions::from_mode(mode | 0o010))
}

fn check_trust(path: &Path, directory: &Path) -> Result<(), SocketError> {
    folder::examine(directory, Uid::effective().as_raw())
        .map(drop)
        .map_err(|source| SocketError::Untrusted { path: path.to_owned(), source })
}

/// Whether there is a socket, whoever listens at it.
fn is_there(path: &Path) -> Result<bool, SocketError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SocketError::System { path: path.to_owned(), source }),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(SocketError::NotASocket { path: path.to_owned() })
        }
        Ok(_) => Ok(true),
    }
}

/// Removes what a server that is gone has left, and nothing else.
fn make_way(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::System { path: path.to_owned(), source };
    if !is_there(path)? {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        // Connected, or too busy to be: somebody is there.
        Ok(_) | Err(_) => Err(SocketError::InUse { path: path.to_owned() }),
    }
}

fn place(aside: &Path, path: &Path, group: Option<Gid>) -> io::Result<()> {
    if let Some(group) = group {
        nix::unistd::chown(aside, None, Some(group))?;
    }
    std::fs::set_permissions(aside, Permissions::from_mode(mode(group)))?;
    // Unlike a rename, a link never replaces what another server has put there meanwhile.
    std::fs::hard_link(aside, path)
}

fn mode(group: Option<Gid>) -> u32 {
    if group.is_some() { 0o660 } else { 0o600 }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_never() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run").join("admin.sock");
        let first = AdminSocket::bind(&path, None).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = AdminSocket::bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        drop(first);
        assert!(!path.exists());
        // What a killed server leaves: the file without a listener.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = AdminSocket::bind(&path, None).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        std::fs::write(&path, "precious").unwrap();
        let error = AdminSocket::bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_group_that_is_named_later_gets_through_the_directory_too() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("run");
        let path = directory.join("admin.sock");
        let mode = || std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777;
        let own = Group::from_gid(Gid::effective()).unwrap().expect("it has a name").name;
        drop(AdminSocket::bind(&path, None).unwrap());
        assert_eq!(mode(), 0o700);
        drop(AdminSocket::bind(&path, Some(&own)).unwrap());
        assert_eq!(mode(), 0o710);
        // What was opened on purpose stays as it is.
        std::fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        drop(AdminSocket::bind(&path, Some(&own)).unwrap());
        assert_eq!(mode(), 0o755);
    }
}
