//! Why a command on tokens can't be carried out.

use std::io;
use std::path::PathBuf;

use crate::model::TokenName;

/// Why a command on tokens can't be carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no such token.
    #[error("unknown token `{name}`")]
    Unknown {
        /// What was asked for.
        name: TokenName,
    },
    /// There is one of that name.
    #[error("the token `{name}` exists already")]
    Exists {
        /// The name.
        name: TokenName,
    },
    /// The server has made none for itself.
    #[error("there is no token `admin`")]
    NoAdmin,
    /// The server's own token can't go.
    #[error("the token `admin` cannot be removed")]
    Fixed,
    /// The file can't be read.
    #[error("cannot read the tokens in `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file can't be written.
    #[error("cannot save the tokens in `{path}`")]
    Unsaved {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl TokenError {
    /// The error with its causes, in one line.
    pub fn in_full(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { .. } => "`vhost ctl token list` shows all".to_owned(),
            Self::Exists { name } => {
                format!("give it another secret with `vhost ctl token rotate {name}`")
            }
            Self::NoAdmin => {
                "one is made when the server starts with `proxy.management_api_addr` set, or by \
                 `vhost ctl token rotate`"
                    .to_owned()
            }
            Self::Fixed => "`vhost ctl token rotate` makes its secret worthless".to_owned(),
            Self::Unreadable { .. } => {
                "move the file away to begin without tokens: a new `admin` is made then".to_owned()
            }
            Self::Unsaved { .. } => "make room on the disk, and the directory writable".to_owned(),
            Self::NoRandomness | Self::Stopping => return None,
        })
    }
}
