//! The state of one name's certificate, and its report.

use std::sync::Arc;
use std::time::SystemTime;

use super::files::FilePairState;
use super::plan::Plan;
use crate::acme::Meta;
use crate::clock::millis;
use crate::model::{
    CertificateReport, CertificateSource, CertificateState, ChallengeKind, DomainName,
};
use crate::tls::{Served, Slot, Trust};

/// The state of one name's certificate.
pub(super) struct Entry {
    /// The virtual host that it belongs to.
    pub(super) domain: DomainName,
    /// Where it should come from.
    pub(super) plan: Plan,
    /// The certificate that is served, and where it came from.
    pub(super) served: Option<(CertificateSource, Arc<Served>)>,
    /// The directory URL of the CA of `served`, or of `meta`.
    pub(super) directory_url: Option<String>,
    /// The data stored beside an ACME certificate.
    pub(super) meta: Meta,
    /// The current step.
    pub(super) work: Work,
    /// What went wrong last.
    pub(super) trouble: Option<EntryError>,
    /// The challenge that failed last: another one is tried first.
    pub(super) failed_challenge: Option<ChallengeKind>,
    /// Whether the last attempt failed because of a local file: the next reload tries again.
    pub(super) failed_locally: bool,
    /// Whether it is a name on demand.
    pub(super) on_demand: bool,
    /// The urgency that was logged last.
    pub(super) logged: Urgency,
}

/// The work on a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing until this time; `None` is never.
    Rest(Option<SystemTime>),
    /// It waits for its turn.
    Queued,
    /// It is being ordered.
    Running(String),
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryError {
    pub(super) text: String,
    pub(super) hint: Option<String>,
    /// Whether a person has to act.
    pub(super) blocks: bool,
}

/// How urgent it is that a person does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// No action is needed.
    None,
    /// It is overdue for renewal.
    Warn,
    /// It expires soon.
    Act,
}

impl Entry {
    pub(super) fn new(domain: DomainName, plan: Plan) -> Self {
        Self {
            domain,
            plan,
            served: None,
            directory_url: None,
            meta: Meta::default(),
            work: Work::Rest(None),
            trouble: None,
            failed_challenge: None,
            failed_locally: false,
            on_demand: false,
            logged: Urgency::None,
        }
    }

    /// When the next work is due.
    pub(super) fn due(&self) -> Option<SystemTime> {
        match self.work {
            Work::Rest(next) => next,
            Work::Queued | Work::Running(_) => None,
        }
    }

    /// What handshakes see.
    pub(super) fn slot(&self) -> Slot {
        if let Some((_, served)) = &self.served {
            return Slot::Ready(Arc::clone(served));
        }
        match (&self.plan, &self.work) {
            (_, Work::Queued | Work::Running(_)) => Slot::Pending,
            (Plan::OnDemand | Plan::Internal { .. }, _) if self.trouble.is_none() => Slot::OnDemand,
            (Plan::Acme, Work::Rest(Some(_))) if self.trouble.is_none() => Slot::Pending,
            _ => Slot::Unavailable,
        }
    }

    fn state(&self, now: SystemTime) -> CertificateState {
        let good = self.served.as_ref().is_some_and(|(_, s)| s.certificate.not_after() > now);
        match (&self.work, &self.trouble) {
            (Work::Queued | Work::Running(_), _) if good => CertificateState::Renewing,
            (Work::Running(_), _) => CertificateState::Ordering,
            (_, Some(trouble)) if trouble.blocks && !good => CertificateState::Blocked,
            (Work::Rest(_), Some(_)) => CertificateState::Failed,
            _ if self.served.is_some() && !good => CertificateState::Expired,
            _ if good => CertificateState::Valid,
            // Made when a client asks for it.
            _ if matches!(self.plan, Plan::Internal { .. }) => CertificateState::Valid,
            _ if self.plan == Plan::OnDemand && !self.on_demand => CertificateState::None,
            _ => CertificateState::Pending,
        }
    }

    /// The report on it, for people.
    pub(super) fn report(&self, name: &DomainName, now: SystemTime) -> CertificateReport {
        let planned = match &self.plan {
            Plan::Acme | Plan::OnDemand | Plan::Blocked { .. } => Some(CertificateSource::Acme),
            Plan::Internal { .. } => Some(CertificateSource::Internal),
            Plan::Files { .. } => Some(CertificateSource::Files),
            Plan::Nowhere { .. } => None,
        };
        let served = self.served.as_ref();
        CertificateReport {
            name: name.clone(),
            unicode: name.unicode(),
            domain: self.domain.clone(),
            source: served.map(|(source, _)| *source).or(planned),
            state: self.state(now),
            served: served.map(|(_, served)| served.certificate.facts().clone()),
            step: match &self.work {
                Work::Rest(_) => None,
                Work::Queued => Some("waiting for its turn".to_owned()),
                Work::Running(step) => Some(step.clone()),
            },
            next_ms: self.next_ms(),
            attempts: self.meta.attempts,
            last_error: self.trouble.as_ref().map(|trouble| trouble.text.clone()),
            hint: match &self.trouble {
                Some(trouble) => trouble.hint.clone(),
                None if served.is_none() => self.plan.made_when().map(str::to_owned),
                None => None,
            },
            trusted: served.is_some_and(|(_, served)| {
                served.trust == Trust::Public && served.certificate.not_after() > now
            }),
        }
    }
}

impl Entry {
    /// When it is renewed, or tried again. Questions to the CA about its window in between don't
    /// count.
    fn next_ms(&self) -> Option<u64> {
        let due = self.due().map(millis)?;
        match (&self.served, &self.trouble) {
            (Some((CertificateSource::Acme, _)), None) => {
                Some(self.meta.renew_ms.map_or(due, |at| at.max(due)))
            }
            _ => Some(due),
        }
    }

    /// Applies the state of the operator's files: a certificate, or an error and the last valid
    /// one.
    pub(super) fn take_file(&mut self, name: &DomainName, files: FilePairState) {
        let FilePairState { good, mut error } = files;
        let (fitting, other) = match good {
            // For the domain `*` any certificate is accepted.
            Some(served) if served.certificate.covers(name) || is_default(name) => {
                (Some(served), None)
            }
            other => (None, other),
        };
        if let Some(other) = other {
            let names = other.certificate.facts().names.join(", ");
            error.get_or_insert_with(|| format!("the certificate is for other names: {names}"));
        }
        if let Some(served) = fitting {
            self.served = Some((CertificateSource::Files, served));
        }
        self.trouble = error.map(|text| EntryError {
            text,
            hint: Some("replace the files; they are read again automatically".into()),
            blocks: true,
        });
    }
}

fn is_default(name: &DomainName) -> bool {
    name.pattern() == crate::model::Pattern::Default
}
