//! The exit statuses: the only place where failures become numbers.

use std::fmt::Write as _;

use crate::model::{Outcome, worded};
use crate::rpc::client::ClientError;
use crate::rpc::envelope::FaultKind;

worded! {
    /// How a command ended, for scripts, with what it means, for the help. The numbers are stable.
    pub enum ExitCode {
        /// It is done.
        Done = 0 "done",
        /// It was refused, or it failed.
        Failed = 1 "refused or failed",
        /// The command line or the config file is wrong.
        Usage = 2 "wrong usage or invalid config",
        /// Nothing listens on the admin socket.
        NoServer = 3 "no server at the socket",
        /// There is no such domain, backend or tag.
        NotFound = 4 "not found",
        /// It already exists, it changed in the meantime, another switch is running, or a domain is not where it
        /// would have to be. Or the change was made, and another one came before its drain had ended.
        Conflict = 5 "it already exists, it changed in the meantime, another switch is running, or a domain \
            is in another app or in none; or it was live, and another switch or an undo came before its \
            drain had ended",
        /// Not healthy in time, too small, a smoke request failed, or a hook refused, and nothing changed. Or there was no
        /// certificate in time.
        Unhealthy = 6 "not healthy in time, less capacity, a failed smoke request, or a hook refused: nothing changed; \
            or no certificate in time",
        /// The change was made, but its drain did not end in time.
        NotDrained = 7 "switched, but not drained in time",
        /// The new tag was worse than the old one by its own traffic, and the old one is live again.
        RolledBack = 8 "the new tag was worse by its own traffic, and was rolled back",
        /// The traffic did not say whether the new tag is worse: it stays, or its rollout is paused.
        CannotTell = 9 "the traffic did not say whether the new tag is worse",
        /// Ctrl-C, after the operation had begun: 128 and the number of SIGINT, as shells have it.
        Interrupted = 130 "interrupted; the server goes on",
    }
}

impl ExitCode {
    /// The number that the shell sees.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The exit code of a wait without a drain: a time-out means that it is not healthy in time.
    #[must_use]
    pub fn of_good_in_time(self) -> Self {
        if self == Self::NotDrained { Self::Unhealthy } else { self }
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        code.number()
    }
}

impl From<FaultKind> for ExitCode {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::NotFound => Self::NotFound,
            FaultKind::AlreadyExists | FaultKind::Conflict => Self::Conflict,
            FaultKind::Unhealthy => Self::Unhealthy,
            FaultKind::Timeout => Self::NotDrained,
            FaultKind::Invalid | FaultKind::Denied | FaultKind::Internal | FaultKind::Unknown => {
                Self::Failed
            }
        }
    }
}

impl From<&ClientError> for ExitCode {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::NoServer { .. } => Self::NoServer,
            ClientError::Fault(fault) => fault.data.kind.into(),
            ClientError::Denied { .. }
            | ClientError::Connect { .. }
            | ClientError::Untrusted { .. }
            | ClientError::Stranger { .. }
            | ClientError::Closed { .. }
            | ClientError::Protocol { .. } => Self::Failed,
        }
    }
}

impl From<&Outcome> for ExitCode {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Draining | Outcome::Done | Outcome::NotDrained => Self::Done,
            Outcome::DrainTimedOut { .. } | Outcome::Interrupted => Self::NotDrained,
            Outcome::GateFailed { .. } => Self::Unhealthy,
            Outcome::Superseded => Self::Conflict,
            Outcome::Unknown => Self::Failed,
        }
    }
}

/// The table as the help shows it.
pub(super) fn help() -> String {
    let mut text = "Exit status:".to_owned();
    for code in ExitCode::ALL {
        let _ = write!(text, "\n  {:>3}  {}", code.number(), code.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_never_change() {
        assert_eq!(ExitCode::ALL.map(ExitCode::number), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]);
        for (kind, number) in [
            (FaultKind::NotFound, 4),
            (FaultKind::AlreadyExists, 5),
            (FaultKind::Invalid, 1),
            (FaultKind::Conflict, 5),
            (FaultKind::Unhealthy, 6),
            (FaultKind::Timeout, 7),
            (FaultKind::Denied, 1),
            (FaultKind::Internal, 1),
            (FaultKind::Unknown, 1),
        ] {
            assert_eq!(ExitCode::from(kind).number(), number, "{kind:?}");
        }
        for (outcome, number) in [
            (Outcome::Done, 0),
            (Outcome::NotDrained, 0),
            (Outcome::DrainTimedOut { remaining: 1 }, 7),
            (Outcome::GateFailed { cause: String::new() }, 6),
        ] {
            assert_eq!(ExitCode::from(&outcome).number(), number, "{outcome:?}");
        }
    }

    #[test]
    fn the_help_lists_them_all() {
        assert_eq!(
            help(),
            "Exit status:
    0  done
    1  refused or failed
    2  wrong usage or invalid config
    3  no server at the socket
    4  not found
    5  it already exists, it changed in the meantime, another switch is running, or a domain \
is in another app or in none; or it was live, and another switch or an undo came before its \
drain had ended
    6  not healthy in time, less capacity, a failed smoke request, or a hook refused: nothing changed; \
or no certificate in time
    7  switched, but not drained in time
    8  the new tag was worse by its own traffic, and was rolled back
    9  the traffic did not say whether the new tag is worse
  130  interrupted; the server goes on"
        );
    }
}
