//! Errors of logging.

use std::io;
use std::path::PathBuf;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A log file could not be opened.
    #[error("cannot open the log file `{}`", path.display())]
    OpenFile {
        /// The section of the config.
        section: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
    /// This process logs already.
    #[error("logging is already set up in this process")]
    SetUpBefore,
}

impl TelemetryError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::OpenFile { section, source, .. } = self else { return None };
        let what = match source.kind() {
            io::ErrorKind::NotFound => "create its directory".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "allow the user that runs vhost to write there".to_owned()
            }
            _ => format!("change `{section}.file_path`"),
        };
        Some(format!("{what}, or set `{section}.output = \"console\"`"))
    }
}
