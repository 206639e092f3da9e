//! Errors as they go over the wire: the only place where one gets its code and kind.

use super::envelope::{Fault, FaultData, FaultKind, code};
use crate::control::ControlError;

/// The class of a control error.
fn kind_of(error: &ControlError) -> FaultKind {
    match error {
        ControlError::UnknownDomain { .. }
        | ControlError::UnknownBackend { .. }
        | ControlError::UnknownTag { .. }
        | ControlError::NotTagged { .. } => FaultKind::NotFound,
        ControlError::DomainExists { .. } | ControlError::BackendExists { .. } => {
            FaultKind::AlreadyExists
        }
        ControlError::NoDomain
        | ControlError::NamedTwice { .. }
        | ControlError::NoOtherTag { .. }
        | ControlError::NothingToUndo { .. }
        | ControlError::NoPlanToken
        | ControlError::LastBackend { .. } => FaultKind::Invalid,
        ControlError::SwitchRunning { .. }
        | ControlError::Moved { .. }
        | ControlError::PlanOutdated { .. }
        | ControlError::MadeReady { .. }
        | ControlError::FileConflict { .. } => FaultKind::Conflict,
        ControlError::NoneReady { .. }
        | ControlError::GateFailed { .. }
        | ControlError::NotHealthy { .. } => FaultKind::Unhealthy,
        ControlError::NotDrained { .. } | ControlError::NotRemoved { .. } => FaultKind::Timeout,
        ControlError::Store(_) | ControlError::Stopping => FaultKind::Internal,
    }
}

/// A control error for the caller. What only the operator of the server should see goes to its log,
/// under `request_id`.
pub(super) fn of_control(error: ControlError, request_id: &str) -> Fault {
    let kind = kind_of(&error);
    let hint = error.hint();
    let message = error.in_full();
    if kind == FaultKind::Internal {
        tracing::error!(request_id, error = %message, "command failed");
    } else {
        tracing::info!(request_id, error = %message, "command refused");
    }
    let backends = match error {
        ControlError::GateFailed { answers, .. } | ControlError::NotHealthy { answers, .. } => {
            answers
        }
        _ => Vec::new(),
    };
    let data = FaultData { kind, hint, request_id: Some(request_id.to_owned()), backends };
    Fault { code: code::PRODUCT, message, data }
}

/// A fault of the message itself.
pub(super) fn of_message(code: i32, message: impl Into<String>, hint: Option<&str>) -> Fault {
    let kind = match code {
        code::INTERNAL_ERROR => FaultKind::Internal,
        _ => FaultKind::Invalid,
    };
    let hint = hint.map(str::to_owned);
    let data = FaultData { kind, hint, request_id: None, backends: Vec::new() };
    Fault { code, message: message.into(), data }
}

/// What a caller who may not be here is told.
pub(super) fn denied(uid: u32) -> Fault {
    let data = FaultData {
        kind: FaultKind::Denied,
        hint: Some(
            "run it as root, as the server's user, or as a member of `proxy.admin_group`".into(),
        ),
        request_id: None,
        backends: Vec::new(),
    };
    Fault { code: code::PRODUCT, message: format!("uid {uid} may not use this socket"), data }
}

/// What a caller is told when too many are there already.
pub(super) fn full() -> Fault {
    let data = FaultData {
        kind: FaultKind::Denied,
        hint: Some("end the clients that keep the admin socket busy, then try again".into()),
        request_id: None,
        backends: Vec::new(),
    };
    Fault { code: code::PRODUCT, message: "too many connections to the admin socket".into(), data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_method_is_not_a_missing_domain() {
        for (code, kind) in [
            (code::METHOD_NOT_FOUND, FaultKind::Invalid),
            (code::INVALID_PARAMS, FaultKind::Invalid),
            (code::INTERNAL_ERROR, FaultKind::Internal),
        ] {
            let fault = of_message(code, "no", None);
            assert_eq!((fault.code, fault.data.kind), (code, kind));
        }
    }
}
