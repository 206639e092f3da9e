//! Errors as they go over the wire: the only place where one gets its code and kind.

use super::catalogue;
use super::dispatch::Failure;
use super::envelope::{Fault, FaultData, FaultKind, code};
use super::run::Entry;
use super::version::PeerVersion;
use crate::certs::CertError;
use crate::control::{ControlError, TrialError};
use crate::hand_over::UpgradeError;
use crate::model::{shorten, with_causes};
use crate::tokens::TokenError;

/// The characters of what a client has sent that come back at most.
pub(super) const MAX_ECHOED: usize = 400;

/// Why a call of a method has no result, for the caller. What only the operator of the server should see
/// goes to its log, under `request_id`.
pub(super) fn of_failure(failure: Failure, method: &Entry, request_id: &str) -> Fault {
    let (kind, message, hint) = match &failure {
        Failure::Params(error) => {
            let message = format!("the parameters of `{}` are wrong: {error}", method.name);
            return of_message(code::INVALID_PARAMS, message, None);
        }
        Failure::Result(error) => {
            return of_message(code::INTERNAL_ERROR, error.to_string(), None);
        }
        Failure::Control(error) => (kind_of(error), error.in_full(), error.hint()),
        Failure::Cert(error) => (kind_of_cert(error), with_causes(error), error.hint()),
        Failure::Token(error) => (kind_of_token(error), with_causes(error), error.hint()),
        Failure::Notify(error) => (FaultKind::NotFound, error.to_string(), Some(error.hint())),
        Failure::Upgrade(error) => (kind_of_upgrade(error), error.in_full(), error.hint()),
    };
    if kind == FaultKind::Internal {
        tracing::error!(request_id, error = %message, "command failed");
    } else {
        tracing::info!(request_id, error = %message, "command refused");
    }
    let request_id = Some(request_id.to_owned());
    let mut data = FaultData { kind, hint, request_id, ..FaultData::default() };
    let mut code = code::PRODUCT;
    if let Failure::Control(error) = failure {
        data.problems = error.problems();
        match error {
            ControlError::OtherRevision { .. } => code = code::REVISION,
            ControlError::GateFailed { answers, .. } | ControlError::NotHealthy { answers, .. } => {
                data.backends = answers;
            }
            _ => {}
        }
    }
    Fault { code, message, data }
}

/// The class of a control error.
fn kind_of(error: &ControlError) -> FaultKind {
    match error {
        ControlError::Trial(error) => kind_of_trial(error),
        ControlError::UnknownDomain { .. }
        | ControlError::UnknownBackend { .. }
        | ControlError::UnknownTag { .. }
        | ControlError::UnknownApp { .. }
        | ControlError::UnknownPlan { .. }
        | ControlError::UnknownHook { .. }
        | ControlError::NoOtherTag { previous: Some(_), .. }
        | ControlError::NotTagged { .. } => FaultKind::NotFound,
        ControlError::DomainExists { .. }
        | ControlError::BackendExists { .. }
        | ControlError::AppExists { .. } => FaultKind::AlreadyExists,
        ControlError::NoDomain
        | ControlError::NamedTwice { .. }
        | ControlError::NoAddress
        | ControlError::Ambiguous { .. }
        | ControlError::AddressTwice { .. }
        | ControlError::AppTwice { .. }
        | ControlError::TooMany { .. }
        | ControlError::NoHooks { .. }
        | ControlError::TooManyHooks { .. }
        | ControlError::LongId { .. }
        | ControlError::NoHost { .. }
        | ControlError::AppIsSplit { .. }
        | ControlError::TagServes { .. }
        | ControlError::AppOption { .. }
        | ControlError::BackendOption { .. }
        | ControlError::OptionValue { .. }
        | ControlError::BackendFile { .. }
        | ControlError::NoOtherTag { previous: None, .. }
        | ControlError::NothingToUndo { .. }
        | ControlError::LastBackend { .. }
        | ControlError::Config(_)
        | ControlError::NoFile { .. } => FaultKind::Invalid,
        ControlError::SwitchRunning { .. }
        | ControlError::DeployRunning { .. }
        | ControlError::ForeignTag { .. }
        | ControlError::ServesOther { .. }
        | ControlError::OtherApp { .. }
        | ControlError::Moved { .. }
        | ControlError::PlanOutdated { .. }
        | ControlError::NewerPlan
        | ControlError::PlanOfOther { .. }
        | ControlError::OtherRevision { .. }
        | ControlError::MadeReady { .. }
        | ControlError::FileConflict { .. }
        | ControlError::FileNameTaken { .. }
        | ControlError::FileUnserved { .. }
        | ControlError::AppInUse { .. }
        | ControlError::TakenOver
        | ControlError::NeverStill => FaultKind::Conflict,
        ControlError::Check(error) if error.is_invalid() => FaultKind::Invalid,
        ControlError::Check(_)
        | ControlError::NoneReady { .. }
        | ControlError::GateFailed { .. }
        | ControlError::HookRefused { .. }
        | ControlError::NotHealthy { .. } => FaultKind::Unhealthy,
        ControlError::NotDrained { .. } | ControlError::NotRemoved { .. } => FaultKind::Timeout,
        ControlError::Store(_) | ControlError::Stopping => FaultKind::Internal,
    }
}

/// The class of an error about splits, trials or previews.
fn kind_of_trial(error: &TrialError) -> FaultKind {
    match error {
        error if error.is_missing() => FaultKind::NotFound,
        error if error.is_invalid() => FaultKind::Invalid,
        error if error.is_about_health() => FaultKind::Unhealthy,
        error if error.is_late() => FaultKind::Timeout,
        _ => FaultKind::Conflict,
    }
}

/// The class of an error of a command on certificates.
fn kind_of_cert(error: &CertError) -> FaultKind {
    match error {
        CertError::UnknownName { .. }
        | CertError::NoCertificate { .. }
        | CertError::KeyNotKept { .. } => FaultKind::NotFound,
        CertError::Unusable(_) | CertError::OtherName { .. } | CertError::RanOut { .. } => {
            FaultKind::Invalid
        }
        CertError::NotAcme { .. }
        | CertError::StillGood { .. }
        | CertError::TooOften { .. }
        | CertError::WantsOther { .. }
        | CertError::NoCa
        | CertError::Refused { .. } => FaultKind::Conflict,
        CertError::TimedOut { .. } => FaultKind::Timeout,
        CertError::Authority(_) | CertError::File(_) | CertError::Stopping => FaultKind::Internal,
    }
}

/// The class of an error of an upgrade.
fn kind_of_upgrade(error: &UpgradeError) -> FaultKind {
    match error {
        UpgradeError::UnderWay => FaultKind::Conflict,
        UpgradeError::NotAllowed => FaultKind::Denied,
        UpgradeError::Late { .. } => FaultKind::Timeout,
        UpgradeError::Relative { .. }
        | UpgradeError::FirstProcess
        | UpgradeError::Start { .. }
        | UpgradeError::Ended { .. }
        | UpgradeError::Refused { .. }
        | UpgradeError::OtherState { .. }
        | UpgradeError::OlderSchema { .. }
        | UpgradeError::Migrates { .. } => FaultKind::Invalid,
        UpgradeError::Channel(_) | UpgradeError::Control(_) => FaultKind::Internal,
    }
}

/// The class of an error of a command on tokens.
fn kind_of_token(error: &TokenError) -> FaultKind {
    match error {
        TokenError::Unknown { .. } | TokenError::NoAdmin => FaultKind::NotFound,
        TokenError::Exists { .. } => FaultKind::AlreadyExists,
        TokenError::Fixed => FaultKind::Invalid,
        TokenError::Unreadable { .. }
        | TokenError::Unsaved { .. }
        | TokenError::NoRandomness
        | TokenError::Stopping => FaultKind::Internal,
    }
}

/// A fault of the message itself.
pub(super) fn of_message(code: i32, message: impl Into<String>, hint: Option<&str>) -> Fault {
    let kind = match code {
        code::INTERNAL_ERROR => FaultKind::Internal,
        _ => FaultKind::Invalid,
    };
    let hint = hint.map(str::to_owned);
    let data = FaultData { kind, hint, ..FaultData::default() };
    Fault { code, message: shorten(&message.into(), MAX_ECHOED), data }
}

/// There is no such method.
pub(super) fn unknown_method(method: &str) -> Fault {
    let hint = match catalogue::nearest(method) {
        Some(entry) => format!("did you mean `{}`?", entry.name),
        None => "methods are named `noun.verb`, such as `domain.list`".to_owned(),
    };
    let message = format!("unknown method `{}`", shorten(method, MAX_ECHOED));
    of_message(code::METHOD_NOT_FOUND, message, Some(&hint))
}

/// What a client gets whose version is too far from the server's.
pub(super) fn version_apart(client: PeerVersion) -> Fault {
    let server = PeerVersion::OWN;
    let message = format!("this server is vhost {server} and understands no client of {client}");
    let older = if client < server { "the client" } else { "the server" };
    let neighbours = server.neighbours();
    let hint = format!("update {older}, which is older; the server takes clients of {neighbours}");
    of_message(code::VERSION, message, Some(&hint))
}

/// Adds to a fault what a client of this version must know: that the server may be too old for what
/// it asked.
pub(super) fn seen_by(mut fault: Fault, client: Option<PeerVersion>) -> Fault {
    let unknown = matches!(fault.code, code::METHOD_NOT_FOUND | code::INVALID_PARAMS);
    if let Some(client) = client.filter(|client| unknown && *client > PeerVersion::OWN) {
        let server = PeerVersion::OWN;
        fault.data.hint = Some(format!(
            "this server is vhost {server}, older than the client's {client}, and may not know it \
             yet: update the server"
        ));
    }
    fault
}

/// The caller may not use the socket.
pub(super) fn denied(uid: u32) -> Fault {
    let message = format!("uid {uid} may not use this socket");
    let hint = "run it as root, as the server's user, or as a member of `proxy.admin_group`";
    of_product(FaultKind::Denied, message, hint)
}

/// Too many are connected already.
pub(super) fn full() -> Fault {
    let message = "too many connections to the admin socket".to_owned();
    let hint = "end the clients that keep the admin socket busy, then try again";
    of_product(FaultKind::Denied, message, hint)
}

/// The result is longer than a line may be.
pub(super) fn result_too_long(bytes: usize, most: usize) -> Fault {
    let message = format!("the result has {bytes} bytes, and {most} is the most");
    of_product(FaultKind::Invalid, message, "ask for less at once")
}

/// The batch's answers have come to too much before this request of it.
pub(super) fn batch_cut_off(most: usize) -> Fault {
    let message = format!("not carried out: the answers before it have more than {most} bytes");
    of_product(FaultKind::Invalid, message, "send the rest in another batch")
}

fn of_product(kind: FaultKind, message: String, hint: &str) -> Fault {
    let data = FaultData { kind, hint: Some(hint.to_owned()), ..FaultData::default() };
    Fault { code: code::PRODUCT, message, data }
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
