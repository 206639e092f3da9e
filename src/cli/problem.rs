//! Errors, as printed for people and for scripts.

use std::error::Error as _;

use serde_json::{Value, json};

use super::exit_code::ExitCode;
use crate::model::{BackendAnswer, printable_lines};
use crate::rpc::client::ClientError;
use crate::rpc::envelope::{Fault, FaultData, FaultKind, code};

/// A failed command: what failed, why, and what to do next.
#[derive(Debug)]
pub(super) struct Problem {
    /// What failed.
    pub(super) what: String,
    pub(super) cause: String,
    /// If a gate failed: the backends with their last answers.
    pub(super) answers: Vec<BackendAnswer>,
    /// Everything that is wrong in a config file.
    pub(super) problems: Vec<String>,
    /// What to do next.
    pub(super) hint: Option<String>,
    /// The exit status.
    pub(super) exit: ExitCode,
    /// The same for scripts: the server's error unchanged, or one of that form.
    pub(super) json: Value,
}

impl Problem {
    /// A failed call. `action` is what was tried, such as ``remove `example.com` ``.
    pub(super) fn calling(action: &str, error: ClientError) -> Self {
        let exit = ExitCode::from(&error);
        let what = match error {
            // It may have been done, so this doesn't say that it could not.
            ClientError::Closed { .. } => {
                format!("lost the connection to the server while asking it to {action}")
            }
            ClientError::NoServer { .. }
            | ClientError::Denied { .. }
            | ClientError::Connect { .. }
            | ClientError::Untrusted { .. }
            | ClientError::Stranger { .. }
            | ClientError::Protocol { .. }
            | ClientError::Fault(_) => format!("cannot {action}"),
        };
        let kind = match error {
            ClientError::Fault(fault) => return Self::fault(what, fault),
            ClientError::NoServer { .. } => "no_server",
            ClientError::Denied { .. } => "denied",
            ClientError::Untrusted { .. } | ClientError::Stranger { .. } => "untrusted",
            ClientError::Connect { .. } => "internal",
            ClientError::Closed { .. } => "closed",
            ClientError::Protocol { .. } => "protocol",
        };
        let cause = match error.source() {
            Some(source) => format!("{error}: {}", words(source)),
            None => error.to_string(),
        };
        let hint = error.hint();
        let json = json!({
            "code": code::PRODUCT, "message": cause, "data": { "kind": kind, "hint": hint },
        });
        Self { what, cause, answers: Vec::new(), problems: Vec::new(), hint, exit, json }
    }

    /// An error from the server.
    pub(super) fn fault(what: String, fault: Fault) -> Self {
        let json = json!(fault);
        let FaultData { kind, hint, request_id, backends, problems } = fault.data;
        let hint = match (kind, request_id) {
            (FaultKind::Internal, Some(id)) => {
                let log = format!("see the server's log for request id `{id}`");
                Some(hint.map_or_else(|| log.clone(), |hint| format!("{hint}; {log}")))
            }
            _ => hint,
        };
        let exit = kind.into();
        Self { what, cause: fault.message, answers: backends, problems, hint, exit, json }
    }

    /// The process could not be set up.
    pub(super) fn starting(error: &std::io::Error) -> Self {
        let cause = words(error);
        Self {
            what: "cannot start".to_owned(),
            answers: Vec::new(),
            problems: Vec::new(),
            hint: None,
            exit: ExitCode::Failed,
            json: json!({
                "code": code::PRODUCT, "message": cause, "data": { "kind": "internal" },
            }),
            cause,
        }
    }

    /// The input is wrong, as only reading it shows.
    pub(super) fn usage(what: &str, cause: String) -> Self {
        Self {
            what: what.to_owned(),
            answers: Vec::new(),
            problems: Vec::new(),
            hint: None,
            exit: ExitCode::Usage,
            json: json!({
                "code": code::PRODUCT, "message": cause, "data": { "kind": "invalid" },
            }),
            cause,
        }
    }

    /// It failed. `action` is what was tried.
    pub(super) fn failed(
        action: impl std::fmt::Display,
        cause: String,
        hint: Option<String>,
    ) -> Self {
        Self {
            what: format!("cannot {action}"),
            answers: Vec::new(),
            problems: Vec::new(),
            exit: ExitCode::Failed,
            json: json!({
                "code": code::PRODUCT,
                "message": cause,
                "data": { "kind": "failed", "hint": hint },
            }),
            cause,
            hint,
        }
    }

    /// Ctrl-C during an operation that changes nothing.
    pub(super) fn given_up(action: &str) -> Self {
        let cause = "interrupted".to_owned();
        Self {
            what: format!("did not {action}"),
            answers: Vec::new(),
            problems: Vec::new(),
            exit: ExitCode::Interrupted,
            json: json!({
                "code": code::PRODUCT, "message": cause, "data": { "kind": "interrupted" },
            }),
            cause,
            hint: None,
        }
    }

    /// Ctrl-C while the server works on `action`.
    pub(super) fn interrupted(action: &str) -> Self {
        let cause = format!("interrupted; the server goes on to {action}");
        let hint = "see how it ends with `vhost ctl history`".to_owned();
        Self {
            what: "stopped waiting for the server".to_owned(),
            answers: Vec::new(),
            problems: Vec::new(),
            exit: ExitCode::Interrupted,
            json: json!({
                "code": code::PRODUCT,
                "message": cause,
                "data": { "kind": "interrupted", "hint": hint },
            }),
            cause,
            hint: Some(hint),
        }
    }
}

/// An error of this process in three lines: what failed, why, and what to do next.
pub(super) fn complaint(error: &dyn std::error::Error, hint: Option<&str>) -> String {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(words(cause));
        source = cause.source();
    }
    let mut text = format!("error: {error}");
    if !causes.is_empty() {
        text.push_str("\ncause: ");
        text.push_str(&causes.join(": "));
    }
    if let Some(hint) = hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    // The text contains files and names.
    printable_lines(&text).into_owned()
}

/// The system's message, without its number.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_lowercase(),
        // Not the system's: it may contain a path or a name.
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ServerError;

    #[test]
    fn a_start_that_fails_is_told_in_three_lines() {
        let error = ServerError::Listen {
            key: "proxy.listen_addr_http",
            address: "127.0.0.1:8080".parse().unwrap(),
            source: std::io::Error::from_raw_os_error(nix::libc::EADDRINUSE),
        };
        assert_eq!(
            complaint(&error, error.hint().as_deref()),
            "error: cannot listen at `127.0.0.1:8080` (`proxy.listen_addr_http`)
cause: address already in use
hint: something else listens at port 8080; stop it, or change `proxy.listen_addr_http`"
        );
    }
}
