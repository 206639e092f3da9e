//! Why there is no log.

use std::io;
use std::path::PathBuf;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A log file could not be opened.
    #[error("cannot open the log file `{}`", path.display())]
    OpenFile {
        /// The section of the config that names it.
        section: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
    /// This process logs already.
    #[error("logging was set up before in this process")]
    SetUpBefore,
}

impl TelemetryError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::OpenFile { section, source, .. } = self else { return None };
        let what = match source.kind() {
            io::ErrorKind::NotFound => "create its directory".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "let the user that runs vhost write there".to_owned()
            }
            _ => format!("change `{section}.file_path`"),
        };
        Some(format!("{what}, or set `{section}.output = \"console\"`"))
    }
}
