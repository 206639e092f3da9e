//! A log file that is rotated by size or by day, and reopened after it was moved.
//!
//! Our own, because the crates for it (file-rotate, logroller, rolling-file) can't reopen a file
//! that logrotate has moved, or lose lines when a rotation fails.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::model::{LogFileSettings, Rotation};

const DAY_MS: u64 = 86_400_000;

/// Whether another process has the files now, so that this one only writes to them.
static OTHERS_ROTATE: AtomicBool = AtomicBool::new(false);

/// From now on another process rotates the files of logs: two would lose lines of each other.
pub(crate) fn never_rotate() {
    OTHERS_ROTATE.store(true, Ordering::Relaxed);
}

/// The file that is written to.
#[derive(Debug)]
pub(super) struct LogFile {
    settings: LogFileSettings,
    file: File,
    /// Whether it is a regular file: nothing else can be rotated.
    is_regular: bool,
    /// Its bytes.
    size: u64,
    /// The day, since 1970, that its last line is of.
    day: u64,
    /// Whether a write ended within a line.
    is_torn: bool,
}

impl LogFile {
    /// Opens the end of the file.
    pub(super) fn open(settings: LogFileSettings) -> io::Result<Self> {
        let file = append_to(&settings.path)?;
        let metadata = file.metadata()?;
        let since_1970 = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH);
        let day = since_1970.map_or(0, |time| time.as_secs() * 1000 / DAY_MS);
        let (is_regular, size) = (metadata.is_file(), metadata.len());
        Ok(Self { settings, file, is_regular, size, day, is_torn: false })
    }

    /// Opens the file again under its name. On failure the open one stays.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(self.settings.clone())?;
        Ok(())
    }

    /// Appends whole lines, to a new file if a rotation is due. If that fails, the lines go to the
    /// current file, and the error is returned once.
    pub(super) fn write(&mut self, lines: &[u8], now_ms: u64) -> io::Result<()> {
        let today = now_ms / DAY_MS;
        let mut rotated = Ok(());
        if self.is_due(lines.len() as u64, today) {
            rotated = self.rotate();
            if rotated.is_err() {
                // Trying again for each line would cost too much.
                self.size = 0;
            }
        }
        self.day = today;
        if std::mem::take(&mut self.is_torn) {
            self.append(b"\n")?;
        }
        self.append(lines)?;
        if let Err(error) = rotated {
            tracing::error!(path = %self.settings.path.display(), %error, "cannot rotate a log");
        }
        Ok(())
    }

    fn is_due(&self, more: u64, today: u64) -> bool {
        let due = match self.settings.rotation {
            Rotation::Never => false,
            Rotation::Daily => today > self.day,
            Rotation::Size(most) => self.size + more > most,
        };
        due && self.size > 0 && self.is_regular && !OTHERS_ROTATE.load(Ordering::Relaxed)
    }

    /// Renames each file to the next number, the current one to 1, and starts a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let keep = self.settings.keep;
        for number in (1..keep).rev() {
            moved(&self.numbered(number), &self.numbered(number + 1))?;
        }
        moved(&self.settings.path, &self.numbered(1))?;
        // Files that an earlier config kept.
        let more = (keep + 1..).map(|number| self.numbered(number));
        more.map(std::fs::remove_file).take_while(Result::is_ok).for_each(drop);
        self.reopen()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.settings.path);
        name.push(format!(".{number}"));
        name.into()
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            let written = match self.file.write(bytes) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                written => written,
            };
            match written {
                Ok(written) => {
                    self.size += written as u64;
                    bytes = &bytes[written..];
                }
                Err(error) => {
                    self.is_torn = bytes.len() < whole;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Append mode, which is safe with several processes and with copytruncate.
fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    // A FIFO without a reader is an error (ENXIO) instead of blocking.
    let file = options.custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
    Ok(file)
}

/// Renames a file if it exists.
fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path, rotation: Rotation, keep: u32) -> LogFile {
        let path = directory.join("log");
        LogFile::open(LogFileSettings { path, rotation, keep }).expect("it opens")
    }

    fn text(directory: &Path, name: &str) -> String {
        std::fs::read_to_string(directory.join(name)).unwrap_or_default()
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("it is there").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_rotated_before_it_grows_too_large_and_so_many_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        // What a config kept that kept more.
        std::fs::write(directory.join("log.3"), "old\n").expect("it can be written");
        let mut file = open(directory, Rotation::Size(8), 2);
        for line in ["1234567\n", "a\n", "b\n", "c\n", "d\n", "e\n", "longer than that\n", "f\n"] {
            file.write(line.as_bytes(), 0).expect("it is written");
        }
        assert_eq!(names(directory), ["log", "log.1", "log.2"]);
        assert_eq!(text(directory, "log"), "f\n");
        assert_eq!(text(directory, "log.1"), "longer than that\n");
        assert_eq!(text(directory, "log.2"), "e\n");
    }

    #[test]
    fn a_file_of_yesterday_is_rotated_also_after_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        let today = crate::clock::now_ms();
        let mut file = open(directory, Rotation::Daily, 7);
        file.write(b"1\n", today).expect("it is written");
        file.write(b"2\n", today).expect("it is written");
        drop(file);
        let mut file = open(directory, Rotation::Daily, 7);
        file.write(b"3\n", today + DAY_MS).expect("it is written");
        file.write(b"4\n", today + DAY_MS).expect("it is written");
        assert_eq!(names(directory), ["log", "log.1"]);
        assert_eq!(text(directory, "log.1"), "1\n2\n");
        assert_eq!(text(directory, "log"), "3\n4\n");
    }

    #[test]
    fn a_file_that_was_moved_is_written_until_it_is_opened_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        let mut file = open(directory, Rotation::Never, 7);
        file.write(b"1\n", 0).expect("it is written");
        std::fs::rename(directory.join("log"), directory.join("moved")).expect("it is there");
        file.write(b"2\n", 0).expect("it is written");
        file.reopen().expect("it opens");
        file.write(b"3\n", 0).expect("it is written");
        assert_eq!(text(directory, "moved"), "1\n2\n");
        assert_eq!(text(directory, "log"), "3\n");
    }

    #[test]
    fn where_no_file_can_be_moved_lines_are_written_all_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        // A directory with something in it can't be replaced.
        std::fs::create_dir_all(directory.join("log.1/full")).expect("a directory");
        let mut file = open(directory, Rotation::Size(4), 1);
        for line in ["1\n", "2\n", "3\n", "4\n"] {
            file.write(line.as_bytes(), 0).expect("it is written");
        }
        assert_eq!(text(directory, "log"), "1\n2\n3\n4\n");
        // Nothing else than files is moved.
        let path = PathBuf::from("/dev/null");
        let settings = LogFileSettings { path, rotation: Rotation::Size(1), keep: 1 };
        let mut null = LogFile::open(settings).expect("it opens");
        null.write(b"1\n", 0).and_then(|()| null.write(b"2\n", 0)).expect("it is written");
    }
}
