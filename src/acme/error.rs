//! Why a CA refused or failed, in its own words.

use std::fmt::Write as _;
use std::io;
use std::time::{Instant, SystemTime};

use instant_acme::{Error, Problem};

use super::connection::{NotAcme, ResponseFacts};
use super::http_date;
use crate::model::ChallengeKind;

/// The kind of a failure, which decides when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// It may work the next time.
    Transient,
    /// The CA checked, and did not find the proof.
    Validation,
    /// A rate limit of the CA.
    RateLimited {
        /// Whether it applies to every name.
        whole_account: bool,
    },
    /// It fails until a person does something.
    Blocked,
}

/// Why a CA refused or failed. Displays as the CA's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub(crate) struct AcmeError {
    words: String,
    kind: ErrorKind,
    hint: Option<String>,
    /// When the CA allows the next attempt.
    pub(crate) retry_after: Option<SystemTime>,
    challenge: Option<ChallengeKind>,
    /// Whether the cause is a local file, and no CA was asked.
    pub(crate) is_local: bool,
    /// The problem's type without its prefix, and its HTTP status.
    problem: Option<(String, u16)>,
}

impl AcmeError {
    pub(crate) fn new(kind: ErrorKind, words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            kind,
            hint: None,
            retry_after: None,
            challenge: None,
            is_local: false,
            problem: None,
        }
    }

    /// It fails until a person does something.
    pub(super) fn blocked(words: impl Into<String>) -> Self {
        Self::new(ErrorKind::Blocked, words)
    }

    /// A local file is wrong: no CA was asked, and the order works once the file is fixed.
    pub(crate) fn local(words: impl Into<String>) -> Self {
        Self { is_local: true, ..Self::blocked(words) }
    }

    /// It may work the next time.
    pub(crate) fn transient(words: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, words)
    }

    /// A file that can't be read or written.
    pub(super) fn file(what: &str, error: &io::Error) -> Self {
        Self::transient(format!("{what}: {error}"))
            .with_hint("check that `cache_dir` is writable and has room")
    }

    /// An error of a session; `seen` has the last response's facts.
    pub(super) fn of(error: Error, seen: &ResponseFacts) -> Self {
        let mut made = match error {
            Error::Api(problem) => Self::of_problem(&problem),
            Error::Timeout(until) => Self {
                retry_after: until.map(|until| {
                    SystemTime::now() + until.saturating_duration_since(Instant::now())
                }),
                ..Self::transient("the CA did not decide in time")
            },
            Error::Json(error) => {
                Self::transient(format!("the CA's answer can't be understood: {error}"))
            }
            Error::Other(error) => match error.downcast::<NotAcme>() {
                Ok(refused) => Self { hint: refused.hint, ..Self::transient(refused.words) },
                Err(error) => Self::transient(error.to_string()),
            },
            error => Self::transient(error.to_string()),
        };
        made.retry_after = made.retry_after.or(seen.retry_after());
        made
    }

    /// What the CA says is wrong.
    pub(super) fn of_problem(problem: &Problem) -> Self {
        let name = short(problem.r#type.as_deref());
        let detail = problem.detail.as_deref().unwrap_or_default();
        let status = problem.status.unwrap_or_default();
        let mut kind = kind(name, status, detail);
        let mut words = sentence(name, detail, status);
        for subproblem in &problem.subproblems {
            let name = short(subproblem.r#type.as_deref());
            let detail = subproblem.detail.as_deref().unwrap_or_default();
            let _ = match &subproblem.identifier {
                Some(of) => {
                    write!(words, "; {}: {}", of.authorized(false), sentence(name, detail, 0))
                }
                None => write!(words, "; {}", sentence(name, detail, 0)),
            };
            if matches!(kind, ErrorKind::Transient) {
                kind = self::kind(name, 0, detail);
            }
        }
        Self {
            retry_after: http_date::in_detail(detail),
            hint: hint(name),
            problem: Some((name.to_owned(), status)),
            ..Self::new(kind, words)
        }
    }

    /// Joins several errors: the texts of all, and the kind with the longest wait.
    pub(super) fn joined(errors: Vec<Self>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        for error in errors {
            let _ = write!(first.words, "; {}", error.words);
            if matches!(first.kind, ErrorKind::Transient) {
                first.kind = error.kind;
            }
            first.retry_after = first.retry_after.max(error.retry_after);
        }
        Some(first)
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn with_challenge(mut self, challenge: Option<ChallengeKind>) -> Self {
        self.challenge = challenge.or(self.challenge);
        self
    }

    /// Prefixes the text with the name that it is about.
    pub(super) fn about(mut self, name: &str) -> Self {
        self.words = format!("{name}: {}", self.words);
        self
    }

    /// At the account there is nothing to validate: `unauthorized` is about the account itself.
    pub(super) fn at_the_account(mut self) -> Self {
        match &mut self.kind {
            kind @ ErrorKind::Validation => *kind = ErrorKind::Blocked,
            ErrorKind::RateLimited { whole_account } => *whole_account = true,
            _ => {}
        }
        self
    }

    /// Before an order there is nothing to validate either, but limits mean what they say.
    pub(super) fn at_the_order(mut self) -> Self {
        if self.is("unauthorized") {
            self.kind = ErrorKind::Blocked;
        }
        // A CA that accepts no orders for now, and says until when, limits everybody. Later the
        // same status is about one order, which is polled again soon.
        if self.status() == Some(503)
            && self.retry_after.is_some()
            && matches!(self.kind, ErrorKind::Transient)
        {
            self.kind = ErrorKind::RateLimited { whole_account: true };
        }
        self
    }

    /// At a challenge it is the proof that is malformed, or what leads to it, not our request.
    pub(super) fn at_the_challenge(mut self) -> Self {
        if self.is("malformed") {
            self.kind = ErrorKind::Validation;
        }
        self
    }

    /// Whether it has this type, without `urn:ietf:params:acme:error:`.
    pub(super) fn is(&self, name: &str) -> bool {
        self.problem.as_ref().is_some_and(|(of, _)| of == name)
    }

    /// The HTTP status that it came with.
    pub(super) fn status(&self) -> Option<u16> {
        self.problem.as_ref().map(|(_, status)| *status)
    }

    /// What kind of failure it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to check.
    pub(crate) fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    /// The challenge that failed: another may work.
    pub(crate) fn challenge(&self) -> Option<ChallengeKind> {
        self.challenge
    }
}

/// Whether a request was refused only because its nonce was.
pub(super) fn is_bad_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if short(problem.r#type.as_deref()) == "badNonce")
}

fn short(name: Option<&str>) -> &str {
    let name = name.unwrap_or_default();
    match name.strip_prefix("urn:ietf:params:acme:error:") {
        Some(name) => name,
        // `about:blank`: the status says it all (RFC 9457 §4.2.1).
        None if name == "about:blank" => "",
        None => name,
    }
}

fn sentence(name: &str, detail: &str, status: u16) -> String {
    match (name, detail) {
        ("", "") if status > 0 => format!("status {status}"),
        ("", "") => "no reason given".to_owned(),
        ("", detail) => detail.to_owned(),
        (name, "") => name.to_owned(),
        (name, detail) => format!("{name}: {detail}"),
    }
}

fn kind(name: &str, status: u16, detail: &str) -> ErrorKind {
    match name {
        "connection" | "dns" | "unauthorized" | "tls" | "caa" | "incorrectResponse" => {
            ErrorKind::Validation
        }
        "rateLimited" => ErrorKind::RateLimited { whole_account: is_whole_account(detail) },
        "rejectedIdentifier"
        | "unsupportedIdentifier"
        | "invalidProfile"
        | "badCSR"
        | "badPublicKey"
        | "badSignatureAlgorithm"
        | "invalidContact"
        | "unsupportedContact"
        | "userActionRequired"
        | "externalAccountRequired"
        | "alreadyRevoked"
        | "badRevocationReason"
        | "malformed" => ErrorKind::Blocked,
        _ if status == 429 => ErrorKind::RateLimited { whole_account: true },
        _ => ErrorKind::Transient,
    }
}

/// Let's Encrypt's limits on accounts and orders are about no name; the others are.
fn is_whole_account(detail: &str) -> bool {
    ["new orders", "registrations", "from this IP", "from this account", "Service busy"]
        .iter()
        .any(|part| detail.contains(part))
        && !detail.contains("failed authorizations")
}

fn hint(name: &str) -> Option<String> {
    let hint = match name {
        "caa" => "a CAA record of the domain, or of one above it, must allow this CA",
        "externalAccountRequired" => {
            "set `eab_kid` and `eab_hmac_key_file` to the values that the CA issued"
        }
        "userActionRequired" => "follow the CA's message: somebody has to agree to something there",
        "invalidContact" | "unsupportedContact" => "set `email` to an address that receives mail",
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            "this CA does not sign this name: use another one, or `tls = \"internal\"`"
        }
        "invalidProfile" => "set `profile` to one that the CA's directory lists, or leave it out",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> AcmeError {
        AcmeError::of_problem(&serde_json::from_str(json).unwrap())
    }

    fn of_type(name: &str) -> AcmeError {
        problem(&format!(
            r#"{{"type":"urn:ietf:params:acme:error:{name}","detail":"so","status":400}}"#
        ))
    }

    #[test]
    fn every_type_has_its_kind() {
        for name in ["connection", "dns", "unauthorized", "tls", "caa", "incorrectResponse"] {
            assert_eq!(of_type(name).kind(), ErrorKind::Validation, "{name}");
        }
        for name in ["rejectedIdentifier", "invalidProfile", "badCSR", "malformed"] {
            assert_eq!(of_type(name).kind(), ErrorKind::Blocked, "{name}");
        }
        for name in ["serverInternal", "badNonce", "accountDoesNotExist", "somethingNew"] {
            assert_eq!(of_type(name).kind(), ErrorKind::Transient, "{name}");
        }
        assert_eq!(of_type("unauthorized").at_the_account().kind(), ErrorKind::Blocked);
        assert_eq!(of_type("malformed").at_the_challenge().kind(), ErrorKind::Validation);
        assert_eq!(problem(r#"{"status":503}"#).kind(), ErrorKind::Transient);
        let busy = problem(r#"{"status":503,"detail":"retry after 2030-01-01 00:00:00 UTC"}"#);
        assert_eq!(busy.kind(), ErrorKind::Transient);
        let limit = ErrorKind::RateLimited { whole_account: true };
        assert_eq!(busy.at_the_order().kind(), limit, "no orders are taken until then");
        assert_eq!(problem(r#"{"status":503}"#).at_the_order().kind(), ErrorKind::Transient);
        assert_eq!(problem(r#"{"status":503}"#).to_string(), "status 503");
    }

    #[test]
    fn a_limit_says_whom_it_concerns_and_until_when() {
        let limited = |detail: &str| {
            problem(&format!(
                r#"{{"type":"urn:ietf:params:acme:error:rateLimited","detail":"{detail}","status":429}}"#
            ))
        };
        let whole = |detail: &str| {
            let ErrorKind::RateLimited { whole_account } = limited(detail).kind() else { panic!() };
            whole_account
        };
        assert!(whole("too many new orders (300) from this account in the last 3h0m0s"));
        assert!(whole("too many new registrations (10) from this IP address in the last 3h0m0s"));
        assert!(!whole("too many failed authorizations (5) for \\\"x.test\\\" in the last 1h0m0s"));
        assert!(!whole(
            "too many certificates (5) already issued for this exact set of identifiers"
        ));
        assert!(limited("retry after 2030-01-01 00:00:00 UTC: see").retry_after.is_some());
        assert_eq!(
            problem(r#"{"detail":"slow down","status":429}"#).kind(),
            ErrorKind::RateLimited { whole_account: true }
        );
    }

    #[test]
    fn the_words_are_the_cas_own() {
        let error = problem(
            r#"{"type":"urn:ietf:params:acme:error:compound","detail":"Errors during validation",
                "subproblems":[
                  {"type":"urn:ietf:params:acme:error:dns","detail":"no A record",
                   "identifier":{"type":"dns","value":"a.test"}},
                  {"type":"urn:ietf:params:acme:error:caa","detail":"forbidden"}]}"#,
        );
        assert_eq!(
            error.to_string(),
            "compound: Errors during validation; a.test: dns: no A record; caa: forbidden"
        );
        assert_eq!(error.kind(), ErrorKind::Validation);
    }

    #[test]
    fn several_become_one() {
        assert_eq!(AcmeError::joined(Vec::new()), None);
        let both = vec![of_type("serverInternal").about("a.test"), of_type("dns").about("b.test")];
        let error = AcmeError::joined(both).unwrap();
        assert_eq!(error.to_string(), "a.test: serverInternal: so; b.test: dns: so");
        assert_eq!(error.kind(), ErrorKind::Validation);
    }
}
