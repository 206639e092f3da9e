//! Errors of commands on tokens.

use std::io;
use std::path::PathBuf;

use crate::model::TokenName;

/// Why a command on tokens failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// There is no such token.
    #[error("unknown token `{name}`")]
    Unknown {
        /// What was asked for.
        name: TokenName,
    },
    /// There already is one with that name.
    #[error("the token `{name}` already exists")]
    Exists { name: TokenName },
    /// The server has no own token.
    #[error("there is no token `admin`")]
    NoAdmin,
    /// The server's own token can't be removed.
    #[error("the token `admin` cannot be removed")]
    Fixed,
    /// The file can't be read.
    #[error("cannot read the tokens in `{path}`")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file can't be written.
    #[error("cannot save the tokens in `{path}`")]
    Unsaved {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl TokenError {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { .. } => "`vhost ctl token list` shows all".to_owned(),
            Self::Exists { name } => {
                format!("give it a new secret with `vhost ctl token rotate {name}`")
            }
            Self::NoAdmin => {
                "one is made when the server starts with `proxy.management_api_addr` set, or by \
                 `vhost ctl token rotate`"
                    .to_owned()
            }
            Self::Fixed => "`vhost ctl token rotate` invalidates its secret".to_owned(),
            Self::Unreadable { .. } => {
                "move the file elsewhere to start without tokens; then a new `admin` is made"
                    .to_owned()
            }
            Self::Unsaved { .. } => {
                "free space on the disk, and make the directory writable".to_owned()
            }
            Self::NoRandomness | Self::Stopping => return None,
        })
    }
}
