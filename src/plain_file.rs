//! Reads files that a config or a command names: plain files alone, of a bounded size, without waiting.
//!
//! What is named may be a FIFO, which hangs whoever opens it, a device, or a directory. It is looked at
//! before it is opened, for opening a device can do something; opened so that it never waits; and
//! looked at again through the descriptor, for it may have been replaced in between.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

/// The largest file of certificates or keys: a bundle with every public CA has 250 KiB.
pub(crate) const MAX_PEM_BYTES: u64 = 4 * 1024 * 1024;

/// How files are opened: never waiting, and never as the process's terminal.
const FLAGS: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Reads the plain file at `path`, of at most `max` bytes. Symbolic links are followed. Blocks, but only
/// for the disk.
///
/// # Errors
/// When it can't be opened or read, is no plain file, or is larger.
pub(crate) fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    check_kind(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(FLAGS.bits()).open(path)?;
    read_open(file, max)
}

/// As [`read`], of a text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub(crate) fn read_text(path: &Path, max: u64) -> io::Result<String> {
    let bytes = read(path, max)?;
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads the plain file `name` below `directory`, of at most `max` bytes: neither `..` nor a symbolic
/// link leads out of the directory, and none of the magic links of `/proc` is followed.
///
/// # Errors
/// As [`read`], and when the name leads out.
pub(crate) fn read_below(directory: &Path, name: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = open_below(directory, name).map_err(|error| match error {
        Errno::EXDEV | Errno::ELOOP => {
            io::Error::other(format!("it leads out of `{}`", directory.display()))
        }
        Errno::ENXIO => io::Error::other("it is a socket, not a file"),
        error => error.into(),
    })?;
    read_open(file, max)
}

fn open_below(directory: &Path, name: &Path) -> Result<File, Errno> {
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(FLAGS.union(OFlag::O_DIRECTORY).bits())
        .open(directory)
        .map_err(|error| errno(&error))?;
    let flags = FLAGS.union(OFlag::O_RDONLY);
    let resolve = ResolveFlag::RESOLVE_BENEATH.union(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(&directory, name, OpenHow::new().flags(flags).resolve(resolve)) {
        // A kernel before 5.6, or a filter of system calls that doesn't know this one.
        Err(Errno::ENOSYS | Errno::EPERM) => walk(directory, name),
        opened => opened.map(File::from),
    }
}

/// Opens what is below a directory step by step, without following any link.
fn walk(directory: File, name: &Path) -> Result<File, Errno> {
    let mut at = OwnedFd::from(directory);
    let mut components = name.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(part) = component else { return Err(Errno::EXDEV) };
        let mut flags = FLAGS.union(OFlag::O_RDONLY).union(OFlag::O_NOFOLLOW);
        if components.peek().is_some() {
            flags = flags.union(OFlag::O_DIRECTORY);
        }
        at = openat(&at, part, flags, Mode::empty())?;
    }
    Ok(File::from(at))
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn read_open(file: File, max: u64) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    check_kind(&metadata)?;
    let too_large = || io::Error::other(format!("it is larger than {max} bytes"));
    if metadata.len() > max {
        return Err(too_large());
    }
    // Files of `/proc` say that they are empty, and others may grow meanwhile.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(too_large()) } else { Ok(bytes) }
}

fn check_kind(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let found = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::other(format!("it is {found}, not a file")))
}

/// What tells that a file is not the one that it was: also one that was put in its place with the same
/// size and time, for nobody can set when its inode changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file at `path`; `None` where there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_plain_files_are_read_and_nothing_waits_for_a_fifo() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("plain"), "text").unwrap();
        symlink(path("plain"), path("link")).unwrap();
        mkfifo(&path("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
        symlink(path("fifo"), path("link-to-fifo")).unwrap();
        let _listener = UnixListener::bind(path("socket")).unwrap();
        assert_eq!(read(&path("plain"), 4).unwrap(), b"text");
        assert_eq!(read_text(&path("link"), 4).unwrap(), "text");
        for (name, said) in [
            ("fifo", "a FIFO"),
            ("link-to-fifo", "a FIFO"),
            ("socket", "a socket"),
            ("", "a directory"),
            ("plain/below", "directory"),
            ("missing", "No such file"),
        ] {
            let error = read(&path(name), 100).unwrap_err().to_string();
            assert!(error.contains(said), "{name}: {error}");
            if !name.is_empty() && !name.contains('/') {
                let below = read_below(directory.path(), Path::new(name), 100);
                let error = below.unwrap_err().to_string();
                assert!(error.contains(said) || error.contains("out of"), "{name}: {error}");
            }
        }
        let error = read(Path::new("/dev/zero"), 100).unwrap_err().to_string();
        assert!(error.contains("a device"), "{error}");
    }

    #[test]
    fn no_more_is_read_than_the_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert!(read(&path, 5).is_ok());
        assert!(read(&path, 4).unwrap_err().to_string().contains("larger than 4 bytes"));
        // It says that it has no bytes.
        let endless = read(Path::new("/proc/self/status"), 10).unwrap_err().to_string();
        assert!(endless.contains("larger than 10 bytes"), "{endless}");
    }

    #[test]
    fn nothing_leads_out_of_a_directory() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("inner")).unwrap();
        std::fs::write(path("inner/page"), "page").unwrap();
        symlink("inner/page", path("within")).unwrap();
        symlink(outside.path().join("secret"), path("link")).unwrap();
        symlink(outside.path(), path("inner/out")).unwrap();
        symlink("/proc/self/root", path("root")).unwrap();
        symlink("/proc/self/cwd", path("cwd")).unwrap();
        let below = |name: &str| read_below(directory.path(), Path::new(name), 100);
        let stepwise = |name: &str| {
            let opened = walk(File::open(directory.path()).unwrap(), Path::new(name));
            read_open(opened.map_err(io::Error::from)?, 100)
        };
        for name in ["inner/page", "./inner/page"] {
            assert_eq!(below(name).unwrap(), b"page", "{name}");
            assert_eq!(stepwise(name.trim_start_matches("./")).unwrap(), b"page", "{name}");
        }
        assert_eq!(below("within").unwrap(), b"page", "a link that stays inside");
        let absolute = outside.path().join("secret").display().to_string();
        let up = format!("../{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
        let from_root = format!("root{absolute}");
        for name in
            ["link", "inner/out/secret", absolute.as_str(), &up, &from_root, "cwd/x", "inner"]
        {
            assert!(below(name).is_err(), "{name}");
            assert!(stepwise(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_in_the_place_of_another_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("page");
        std::fs::write(&path, "one").unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let before = Stamp::of(&path);
        assert_eq!(before, Stamp::of(&path));
        let other = directory.path().join("other");
        std::fs::write(&other, "two").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(before, Stamp::of(&path));
        assert_eq!(Stamp::of(&other), None);
    }
}
