//! Why an upgrade failed.

use std::path::PathBuf;
use std::time::Duration;

use super::{ChannelError, Refusal};
use crate::control::ControlError;
use crate::model::with_causes;

/// Why an upgrade failed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// There is one already.
    #[error("another upgrade is under way")]
    UnderWay,
    /// Only who could run it anyway may name a program.
    #[error("only root and the server's own user may name a program")]
    NotAllowed,
    /// Whose directory it would be in, nobody knows.
    #[error("`{program}` is no absolute path")]
    Relative {
        /// The program.
        program: PathBuf,
    },
    /// The container would end with this process.
    #[error("this process is the first of its container, which ends when it does")]
    FirstProcess,
    /// The program can't be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The new process has ended.
    #[error("the new process ended before it could serve{}", ended(.status.as_deref()))]
    Ended {
        /// How, if it did by itself.
        status: Option<String>,
    },
    /// The new process was not ready in time.
    #[error("the new process could not serve within {}", humantime::format_duration(*.within))]
    Late {
        /// How long it was waited.
        within: Duration,
    },
    /// The new process says why it can't serve.
    #[error("the new process cannot serve: {error}")]
    Refused {
        /// Why.
        error: String,
        /// What it says to do.
        hint: Option<String>,
    },
    /// The new process would go by another state.
    #[error("the config names another state directory, `{state_dir}`; the state is in `{own}`")]
    OtherState {
        /// Where the new process looks for it.
        state_dir: PathBuf,
        /// Where it is.
        own: PathBuf,
    },
    /// The new program can't read the state.
    #[error(
        "version {version} cannot read the state: it knows schema {schema}, the state has {own}"
    )]
    OlderSchema {
        /// The version of the new program.
        version: String,
        /// What it knows.
        schema: i64,
        /// What there is.
        own: i64,
    },
    /// The new program would change the state so that this one can't read it.
    #[error("version {version} would migrate the state from schema {own} to {schema}")]
    Migrates {
        /// The version of the new program.
        version: String,
        /// What it makes of it.
        schema: i64,
        /// What there is.
        own: i64,
    },
    /// The new process can't be understood.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The state can't be given away.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<Refusal> for UpgradeError {
    fn from(Refusal { error, hint }: Refusal) -> Self {
        Self::Refused { error, hint }
    }
}

fn ended(status: Option<&str>) -> String {
    status.map_or_else(String::new, |status| format!(" ({status})"))
}

impl UpgradeError {
    /// The error with its causes, in one line.
    pub(crate) fn in_full(&self) -> String {
        with_causes(self)
    }

    /// The same, with how the process ended by itself that says nothing any more.
    pub(crate) fn ended_with(self, status: Option<String>) -> Self {
        match self {
            Self::Channel(ChannelError::Ended) => Self::Ended { status },
            error => error,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotAllowed => {
                "put the new program where the one that runs is, and upgrade without a path".into()
            }
            Self::Relative { .. } => "give it from the root on, such as `/usr/local/bin/vhost`".into(),
            Self::FirstProcess => {
                "stop this container, and start one of the new image with the same volumes".into()
            }
            Self::UnderWay => "wait for it to end, then try again".into(),
            Self::Start { .. } => "name a `vhost` that this machine can run".into(),
            Self::Ended { .. } => {
                "its lines in the log say why; is it a `vhost` that can be upgraded to?".into()
            }
            Self::Late { .. } => "raise `upgrade_timeout_secs` of [proxy]".into(),
            Self::Refused { hint, .. } => return hint.clone(),
            Self::OtherState { .. } => {
                "to move the state, stop the server, move the directory, and start it again".into()
            }
            Self::OlderSchema { .. } => "use that version or a newer one".into(),
            Self::Migrates { .. } => {
                "there is no way back after that: pass `--migrate` if that is all right; a copy of the \
                 database is kept in the state directory"
                    .into()
            }
            Self::Channel(_) => "is it a `vhost` that can be upgraded to?".into(),
            Self::Control(error) => return error.hint(),
        })
    }
}
