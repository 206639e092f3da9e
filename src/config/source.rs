//! Where a configuration comes from, so that it can be read again.

use std::fmt;
use std::path::PathBuf;

use super::{Arguments, Config, ConfigError, load, load_to_start};

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A config file.
    File(PathBuf),
    /// The arguments of the command line.
    Arguments(Arguments),
    /// A part of this process made it, and says so in these words.
    Made(&'static str, Box<Config>),
}

impl Source {
    /// Reads the configuration, as it is now.
    ///
    /// # Errors
    /// When the file cannot be read, or with everything that is wrong in it or in the arguments.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        match self {
            Self::File(path) => load(path),
            Self::Arguments(_) | Self::Made(..) => self.load_to_start(),
        }
    }

    /// Reads the configuration for a start; see [`load_to_start`].
    ///
    /// # Errors
    /// As [`Self::load`], but for files of backends.
    pub(crate) fn load_to_start(&self) -> Result<Config, ConfigError> {
        match self {
            Self::File(path) => load_to_start(path),
            Self::Arguments(arguments) => arguments.to_config(),
            Self::Made(_, config) => Ok((**config).clone()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Arguments(_) => f.pad("command line"),
            Self::Made(what, _) => f.pad(what),
        }
    }
}
