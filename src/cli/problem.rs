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
        let kind = match error {
            ClientError::Fault(fault) => return Self::fault(format!("cannot {action}"), fault),
            ClientError::NoServer { .. } => "no_server",
            ClientError::Denied { .. } => "denied",
            ClientError::Untrusted { .. } | ClientError::Stranger { .. } => "untrusted",
            ClientError::Connect { .. } => "internal",
            ClientError::Closed { .. } => "closed",
            ClientError::Protocol { .. } => "protocol",
        };
        let what = if matches!(error, ClientError::Closed { .. }) {
            // It may have been done, so this doesn't say that it could not.
            format!("lost the connection to the server while asking it to {action}")
        } else {
            format!("cannot {action}")
        };
        let cause = match error.source() {
            Some(source) => format!("{error}: {}", words(source)),
            None => error.to_string(),
        };
        let data = json!({ "kind": kind, "hint": error.hint() });
        Self::own(what, cause, &data, exit)
    }

    /// What this process has found.
    fn own(what: impl Into<String>, cause: String, data: &Value, exit: ExitCode) -> Self {
        let hint = data["hint"].as_str().map(str::to_owned);
        let json = json!({ "code": code::PRODUCT, "message": cause, "data": data });
        let (answers, problems) = (Vec::new(), Vec::new());
        Self { what: what.into(), cause, answers, problems, hint, exit, json }
    }

    /// What the server's answer means, as if the server had said so.
    pub(super) fn found(what: String, message: String, kind: FaultKind, hint: String) -> Self {
        let data = FaultData { kind, hint: Some(hint), ..FaultData::default() };
        Self::fault(what, Fault { code: code::PRODUCT, message, data })
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
        Self::own("cannot start", words(error), &json!({ "kind": "internal" }), ExitCode::Failed)
    }

    /// The input is wrong, as only reading it shows.
    pub(super) fn usage(what: &str, cause: String) -> Self {
        Self::own(what, cause, &json!({ "kind": "invalid" }), ExitCode::Usage)
    }

    /// It failed. `action` is what was tried.
    pub(super) fn failed(
        action: impl std::fmt::Display,
        cause: String,
        hint: Option<String>,
    ) -> Self {
        let data = json!({ "kind": "failed", "hint": hint.map(Value::from) });
        Self::own(format!("cannot {action}"), cause, &data, ExitCode::Failed)
    }

    /// Ctrl-C during an operation that changes nothing.
    pub(super) fn given_up(action: &str) -> Self {
        let (what, cause) = (format!("did not {action}"), "interrupted".to_owned());
        Self::own(what, cause, &json!({ "kind": "interrupted" }), ExitCode::Interrupted)
    }

    /// Ctrl-C while the server works on `action`.
    pub(super) fn interrupted(action: &str) -> Self {
        let cause = format!("interrupted; the server goes on to {action}");
        let hint = "see how it ends with `vhost ctl history`";
        let data = json!({ "kind": "interrupted", "hint": hint });
        Self::own("stopped waiting for the server", cause, &data, ExitCode::Interrupted)
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
            "error: cannot listen on `127.0.0.1:8080` (`proxy.listen_addr_http`)
cause: address already in use
hint: another process is listening on port 8080; stop it, or change `proxy.listen_addr_http`"
        );
    }
}
