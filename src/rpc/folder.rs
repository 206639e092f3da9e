//! Whether strangers may have made the directory of an admin socket. In a directory that everybody may
//! write to, such as `/tmp`, whoever comes first makes `vhost-1000`: the server must not put its socket
//! there, and the client must not believe what listens there.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::absolute;

/// Everybody may write.
const BY_OTHERS: u32 = 0o002;

/// Why the directory of an admin socket is not believed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Somebody else made it, where everybody may.
    #[error("`{}` belongs to the user {owner}, and anybody could have made it", path.display())]
    Foreign {
        /// The directory, or the link to it.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may write to it, or look into it.
    #[error("`{}` is open to others: its mode is {mode:04o}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It can't be looked at.
    #[error("`{}` cannot be looked at: {source}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl FolderError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Foreign { path, .. } => format!(
                "remove `{0}`, as root if need be; or set `XDG_RUNTIME_DIR`, or name a socket in a \
                 directory of your own (`proxy.admin_socket` of the server; `--socket` or \
                 `VHOST_SOCKET` of the client)",
                path.display()
            ),
            Self::Open { path, .. } => format!("`chmod 700 {}`", path.display()),
            Self::Unreadable { .. } => "name a socket in a directory of your own".to_owned(),
        }
    }
}

/// Whose processes may listen in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listeners {
    /// Only root's and the caller's, and those of the user that the directory is named for: anybody
    /// may put a socket there.
    Known(Vec<u32>),
    /// Whoever may write to it was given that on purpose.
    Any,
}

impl Listeners {
    /// Whether a process of this user may listen there.
    pub(super) fn include(&self, uid: u32) -> bool {
        match self {
            Self::Known(known) => known.contains(&uid),
            Self::Any => true,
        }
    }
}

/// Looks at the directory of an admin socket, for a process of the user `own`. One that is not there is
/// nobody's.
///
/// # Errors
/// When strangers may have made it, or may change what is in it.
pub(super) fn examine(directory: &Path, own: u32) -> Result<Listeners, FolderError> {
    let directory = absolute(directory);
    let mut known = vec![0, own];
    known.extend(named_for(&directory));
    let mut listeners = Listeners::Any;
    let mut paths = vec![directory.clone()];
    // Where a link leads, each step counts as well.
    paths.extend(directory.canonicalize().ok().filter(|resolved| *resolved != directory));
    for path in &paths {
        let mut steps: Vec<_> = path.ancestors().collect();
        steps.reverse();
        let mut anybody = false;
        for step in steps {
            let found = match step.symlink_metadata() {
                Ok(found) => found,
                Err(error) if is_missing(&error) => return Ok(Listeners::Known(known)),
                Err(source) => {
                    return Err(FolderError::Unreadable { path: step.to_owned(), source });
                }
            };
            if anybody {
                listeners = Listeners::Known(known.clone());
                let (owner, mode) = (found.uid(), found.mode() & 0o7777);
                if !known.contains(&owner) {
                    return Err(FolderError::Foreign { path: step.to_owned(), owner });
                }
                // A group may be let through (0710), which is all that `proxy.admin_group` needs.
                let closed = if named_for(step).is_some() { 0o067 } else { 0o022 };
                let is_sticky = mode & 0o1000 != 0;
                if found.is_dir() && !is_sticky && mode & closed != 0 {
                    return Err(FolderError::Open { path: step.to_owned(), mode });
                }
            }
            anybody |= found.is_dir() && found.mode() & BY_OTHERS != 0;
        }
        if anybody && path.symlink_metadata().is_ok_and(|found| found.mode() & BY_OTHERS != 0) {
            listeners = Listeners::Known(known.clone());
        }
    }
    Ok(listeners)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The user whose server puts its socket there when nobody says where: `/tmp/vhost-1000`.
fn named_for(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.strip_prefix("vhost-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{DirBuilder, Permissions, create_dir, set_permissions};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};

    use nix::unistd::Uid;

    use super::*;

    /// A directory that everybody may write to, and who made it.
    fn shared() -> (tempfile::TempDir, u32) {
        let directory = tempfile::tempdir().unwrap();
        set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        (directory, Uid::effective().as_raw())
    }

    #[test]
    fn a_directory_that_a_stranger_made_in_a_shared_one_is_refused() {
        let (shared, me) = shared();
        let path = |name: &str| shared.path().join(name);
        // As the folder of another user looks, whoever runs this.
        let (victim, folder) = (me + 1, path("vhost-other"));
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        if me != 0 {
            let error = examine(&folder, victim).unwrap_err();
            assert!(
                matches!(&error, FolderError::Foreign { owner, .. } if *owner == me),
                "{error}"
            );
            assert!(error.hint().contains("XDG_RUNTIME_DIR"), "{}", error.hint());
            symlink(path("elsewhere"), path("link")).unwrap();
            assert!(examine(&path("link"), victim).is_err(), "a stranger's link");
            let below = folder.join("deep/er");
            std::fs::create_dir_all(&below).unwrap();
            assert!(examine(&below, victim).is_err(), "what is below it is the stranger's as well");
        } else {
            nix::unistd::chown(&folder, Some(Uid::from_raw(77)), None).unwrap();
            for of in [0, 78] {
                let error = examine(&folder, of).unwrap_err();
                assert!(matches!(error, FolderError::Foreign { owner: 77, .. }), "{error}");
            }
            symlink("/run", path("link")).unwrap();
            std::os::unix::fs::lchown(path("link"), Some(77), None).unwrap();
            assert!(examine(&path("link"), 0).is_err(), "a stranger's link");
            create_dir(folder.join("deep")).unwrap();
            assert!(examine(&folder.join("deep"), 0).is_err(), "below it");
        }
        assert_eq!(examine(&path("none"), me).unwrap(), Listeners::Known(vec![0, me]));
    }

    #[test]
    fn ones_own_is_believed_while_it_is_closed() {
        let (shared, me) = shared();
        let folder = shared.path().join(format!("vhost-{me}"));
        for (mode, good) in
            [(0o700, true), (0o710, true), (0o750, false), (0o755, false), (0o777, false)]
        {
            let _ = create_dir(&folder);
            set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            let examined = examine(&folder, me);
            assert_eq!(examined.is_ok(), good, "{mode:o} {examined:?}");
            if let Err(error) = examined {
                assert!(error.hint().contains("chmod 700"), "{}", error.hint());
            }
        }
        // A path that somebody chose may be looked into.
        let chosen = shared.path().join("chosen");
        create_dir(&chosen).unwrap();
        for (mode, good) in [(0o755, true), (0o775, false), (0o757, false)] {
            set_permissions(&chosen, Permissions::from_mode(mode)).unwrap();
            assert_eq!(examine(&chosen, me).is_ok(), good, "{mode:o}");
        }
        set_permissions(&chosen, Permissions::from_mode(0o700)).unwrap();
        let listeners = examine(&chosen, me).unwrap();
        assert!(listeners.include(me) && listeners.include(0) && !listeners.include(me + 1));
        // In the shared directory itself anybody may listen.
        assert_eq!(examine(shared.path(), me).unwrap(), listeners);
    }

    #[test]
    fn in_a_directory_that_only_root_could_make_whoever_listens_was_put_there() {
        assert!(examine(Path::new("/usr"), 4_000_001).unwrap().include(77));
        let own = examine(Path::new("/tmp/vhost-4000001"), 0).unwrap();
        assert!(own.include(4_000_001) && own.include(0) && !own.include(77));
    }
}
