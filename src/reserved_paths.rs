//! What is the server's own: the socket, the folders and the addresses by which it is managed. Nobody is
//! served from there, whatever a command or a file says.
//!
//! A path is compared as it is written, as it resolves, and by what it leads to: device and inode tell
//! a bind mount, a hard link or `/proc/…/root` from nothing else.

use std::fs::{self, Metadata};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::model::BackendAddr;
use crate::model::absolute;

/// Files of the server's folders that are looked at for one with the same inode. Only a file with
/// several names makes anybody look.
const MAX_FILES: usize = 200_000;

/// What is the server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReservedPaths {
    admin_socket: PathBuf,
    folders: Vec<PathBuf>,
    listeners: Vec<(&'static str, SocketAddr)>,
}

impl ReservedPaths {
    /// The admin socket; the folders of state and certificates; and what the management API and the
    /// metrics listen on, each with the key that says so.
    pub(crate) fn new(
        admin_socket: PathBuf,
        folders: Vec<PathBuf>,
        listeners: Vec<(&'static str, SocketAddr)>,
    ) -> Self {
        Self { admin_socket, folders, listeners }
    }

    /// Whether `path` leads to the admin socket or into one of the folders. Blocks.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        let (written, resolved) = (lexical(path), resolved(path));
        if self.is_below(&written) || self.is_below(&resolved) {
            return true;
        }
        let Ok(metadata) = fs::metadata(path) else { return self.is_inside(&[path, &resolved]) };
        self.is_same(&metadata) || self.is_inside(&[path, &resolved])
    }

    /// Why a backend can't be at `address`: it is the server's own. Blocks.
    pub(crate) fn refuses(&self, address: &BackendAddr) -> Option<String> {
        match address {
            BackendAddr::Unix(path) => self.holds(path).then(|| {
                "this is the server's own; a backend there would expose the server itself to strangers"
                    .to_owned()
            }),
            BackendAddr::Ip(_) | BackendAddr::Name { .. } => self.listens_at(address).map(|key| {
                format!(
                    "`{key}` is there; a command cannot put it before the public. The config file \
                     can, if that is meant"
                )
            }),
        }
    }

    /// The key that has the server itself listen on `address`, to be managed or measured. A name is
    /// not resolved: only what always means this machine is found.
    pub(crate) fn listens_at(&self, address: &BackendAddr) -> Option<&'static str> {
        let is_at = |at: SocketAddr| self.listeners.iter().find(|(_, own)| meets(*own, at));
        let found = match address {
            BackendAddr::Unix(_) => None,
            BackendAddr::Ip(address) => is_at(*address),
            BackendAddr::Name { host, port } => {
                let is_local = &**host == "localhost" || host.ends_with(".localhost");
                let loopback: [IpAddr; 2] =
                    [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let at = loopback.into_iter().map(|ip| SocketAddr::new(ip, *port));
                at.filter(|_| is_local).find_map(is_at)
            }
        };
        found.map(|(key, _)| *key)
    }

    fn is_below(&self, path: &Path) -> bool {
        let is = |own: &Path, whole: bool| {
            [lexical(own), resolved(own)]
                .iter()
                .any(|own| if whole { path == own } else { path.starts_with(own) })
        };
        is(&self.admin_socket, true) || self.folders.iter().any(|folder| is(folder, false))
    }

    /// Whether a directory that leads to one of `paths` is one of the folders.
    fn is_inside(&self, paths: &[&Path]) -> bool {
        let own: Vec<_> = self.folders.iter().filter_map(|folder| identity(folder)).collect();
        let mut above = paths.iter().flat_map(|path| path.ancestors().skip(1));
        above.any(|above| identity(above).is_some_and(|above| own.contains(&above)))
    }

    /// Whether what was found is the admin socket, or has a second name in one of the folders.
    fn is_same(&self, found: &Metadata) -> bool {
        let this = (found.dev(), found.ino());
        if identity(&self.admin_socket) == Some(this) {
            return true;
        }
        let mut left = MAX_FILES;
        found.is_file()
            && found.nlink() > 1
            // What can't be looked at, or is too much to be, may be the server's.
            && self.folders.iter().any(|folder| contains(folder, this, &mut left).unwrap_or(true))
    }
}

/// Whether the folder has a file of this identity, however deep.
fn contains(folder: &Path, file: (u64, u64), left: &mut usize) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("too many files"))?;
        let found = match fs::symlink_metadata(entry.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?,
        };
        if (found.dev(), found.ino()) == file
            || (found.is_dir() && contains(&entry.path(), file, left)?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The path without `.` and `..`, as it is written.
fn lexical(path: &Path) -> PathBuf {
    let path = absolute(path);
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// The path with every link in it followed, as far as there is something.
fn resolved(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    for above in path.ancestors() {
        if let Ok(found) = above.canonicalize() {
            return rest.iter().rev().fold(found, |path: PathBuf, name| path.join(name));
        }
        match above.file_name() {
            Some(name) => rest.push(name),
            None => break,
        }
    }
    lexical(path)
}

/// Whether a connection to `address` ends at the listener `own`.
fn meets(own: SocketAddr, address: SocketAddr) -> bool {
    if own.port() == 0 || own.port() != address.port() {
        return false;
    }
    let (own, ip) = (own.ip().to_canonical(), address.ip().to_canonical());
    // To connect to no address is to connect to this machine.
    own == ip || ip.is_unspecified() || (own.is_unspecified() && is_of_this_machine(ip))
}

/// Only an address of this machine can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn whatever_leads_to_what_is_the_servers_own_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for folder in ["state/ca", "certs", "run", "pages"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("state/tokens.json"), "secret").unwrap();
        fs::write(path("state/ca/root.pem"), "secret").unwrap();
        fs::write(path("pages/404.html"), "page").unwrap();
        fs::write(path("pages/twice"), "page").unwrap();
        fs::hard_link(path("pages/twice"), path("pages/again")).unwrap();
        let _admin = UnixListener::bind(path("run/admin.sock")).unwrap();
        let _app = UnixListener::bind(path("run/app.sock")).unwrap();
        fs::hard_link(path("run/admin.sock"), path("pages/hard.sock")).unwrap();
        fs::hard_link(path("state/ca/root.pem"), path("pages/hard.pem")).unwrap();
        symlink(path("state/tokens.json"), path("pages/link")).unwrap();
        symlink(path("run/admin.sock"), path("pages/link.sock")).unwrap();
        symlink(path("state"), path("pages/folder")).unwrap();
        symlink("../pages/link", path("pages/twofold")).unwrap();
        let own = ReservedPaths::new(
            path("run/admin.sock"),
            vec![path("state"), path("certs")],
            Vec::new(),
        );
        for name in [
            "state",
            "state/tokens.json",
            "state/not-there-yet",
            "state/new/folder/file",
            "certs/any",
            "run/admin.sock",
            "run/../run/./admin.sock",
            "pages/../state/tokens.json",
            "missing/../state/tokens.json",
            "pages/hard.sock",
            "pages/hard.pem",
            "pages/link",
            "pages/twofold",
            "pages/link.sock",
            "pages/folder/ca/root.pem",
            "pages/folder/not-there-yet",
        ] {
            assert!(own.holds(&path(name)), "{name}");
            for by in ["/proc/self/root", "/proc/thread-self/root/proc/self/root"] {
                let by = PathBuf::from(format!("{by}{}", path(name).display()));
                assert!(own.holds(&by), "{}", by.display());
            }
        }
        for name in ["run/app.sock", "pages/404.html", "pages/again", "pages", "stateful", "run"] {
            assert!(!own.holds(&path(name)), "{name}");
        }
        let address = format!("unix:{}", path("pages/link.sock").display()).parse().unwrap();
        assert!(own.refuses(&address).is_some());
    }

    #[test]
    fn the_addresses_by_which_it_is_managed_are_found() {
        let own = |address: &str| {
            let listeners = vec![("proxy.management_api_addr", address.parse().unwrap())];
            ReservedPaths::new("/run/admin.sock".into(), Vec::new(), listeners)
        };
        for (listener, address, is_own) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true),
            ("127.0.0.1:8080", "0.0.0.0:8080", true),
            ("127.0.0.1:8080", "localhost:8080", true),
            ("127.0.0.1:8080", "a.localhost:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:8081", false),
            ("127.0.0.1:8080", "127.0.0.2:8080", false),
            ("127.0.0.1:8080", "web.internal:8080", false),
            ("0.0.0.0:8080", "127.0.0.7:8080", true),
            ("[::]:8080", "[::1]:8080", true),
            ("0.0.0.0:8080", "192.0.2.1:8080", false),
            ("127.0.0.1:0", "127.0.0.1:8080", false),
        ] {
            let refused = own(listener).refuses(&address.parse().unwrap());
            assert_eq!(refused.is_some(), is_own, "{listener} {address}");
        }
    }
}
