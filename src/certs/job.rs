//! Jobs that run beside the keeper: orders and questions to CAs, which take long.

use std::sync::Arc;
use std::time::SystemTime;

use super::context::KeeperContext;
use crate::acme::{AcmeError, Ca, ErrorKind, Meta, OrderRequest, RenewalWindow, ask, schedule};
use crate::clock::{millis, time};
use crate::model::{Attempt, ChallengeKind, DomainName};
use crate::tls::{Certificate, Served};

/// The most attempts to keep for a name.
const MAX_LOGGED_ATTEMPTS: usize = 10;

/// The most issuance times to keep for a name.
const MAX_ISSUANCE_TIMES: usize = 20;

/// An order to make.
pub(super) struct Order {
    pub(super) name: DomainName,
    /// The CA, and its fallbacks.
    pub(super) cas: Vec<Ca>,
    pub(super) meta: Meta,
    /// The certificate that it replaces, and the directory URL of the CA that signed it.
    pub(super) replaces: Option<(String, Arc<Served>)>,
    pub(super) failed_challenge: Option<ChallengeKind>,
}

/// How a job ended.
pub(super) enum JobOutcome {
    /// A certificate was ordered, and is stored.
    Obtained(Box<Obtained>),
    /// The order failed: why, at the first CA, and all attempts.
    Failed { directory_url: String, failure: AcmeError, log: Vec<Attempt> },
    /// The name on demand is allowed.
    Allowed,
    /// The name is not allowed.
    Denied(String),
    /// No CA is configured.
    NoCa,
    /// The CA was asked for its renewal window.
    Window(Option<RenewalWindow>),
}

pub(super) struct Obtained {
    pub(super) served: Arc<Served>,
    pub(super) meta: Meta,
    pub(super) directory_url: String,
}

impl JobOutcome {
    /// An order that panicked, or was cancelled.
    pub(super) fn broken(error: &tokio::task::JoinError) -> Self {
        let failure = AcmeError::transient(format!("the order failed: {error}"));
        Self::Failed { directory_url: String::new(), failure, log: Vec::new() }
    }
}

/// Asks whether a name on demand may have a certificate.
pub(super) async fn ask_about(url: &str, name: &DomainName) -> JobOutcome {
    match ask(url, &name.to_string()).await {
        Ok(true) => JobOutcome::Allowed,
        Ok(false) => JobOutcome::Denied("the name is not allowed".to_owned()),
        Err(error) => {
            JobOutcome::Denied(format!("cannot find out whether the name is allowed: {error}"))
        }
    }
}

/// Orders a certificate and stores it. `step` is called with each step.
pub(super) async fn order(
    shared: Arc<KeeperContext>,
    order: Order,
    step: impl Fn(&str) + Send + Sync + 'static,
) -> JobOutcome {
    let mut first: Option<(String, AcmeError)> = None;
    let mut order = order;
    for ca in std::mem::take(&mut order.cas) {
        match obtain(&shared, &order, &ca, &step).await {
            Ok(obtained) => return JobOutcome::Obtained(Box::new(obtained)),
            Err(failure) => {
                let directory_url = ca.directory_url().to_owned();
                // A problem with the name is the same at every CA, and each counts failures.
                let is_names = failure.kind() == ErrorKind::Validation;
                tracing::debug!(name = %order.name, directory_url, error = %failure, "CA failed");
                let (at_ms, error) = (millis(SystemTime::now()), Some(failure.to_string()));
                log(
                    &mut order.meta,
                    Attempt { at_ms, directory_url: directory_url.clone(), error },
                );
                first.get_or_insert((directory_url, failure));
                if is_names {
                    break;
                }
            }
        }
    }
    let log = order.meta.log;
    match first {
        Some((directory_url, failure)) => JobOutcome::Failed { directory_url, failure, log },
        None => JobOutcome::NoCa,
    }
}

async fn obtain(
    shared: &Arc<KeeperContext>,
    order: &Order,
    ca: &Ca,
    step: &(impl Fn(&str) + Send + Sync),
) -> Result<Obtained, AcmeError> {
    let (name, mut meta) = (order.name.clone(), order.meta.clone());
    let replaces = order.replaces.as_ref().filter(|(of, _)| of == ca.directory_url());
    let request = OrderRequest {
        name: name.clone(),
        replaces: replaces.map(|(_, served)| served.certificate.leaf().clone()),
        prefer: meta.challenge,
        avoid: order.failed_challenge,
    };
    let issued = ca.issue(request, step).await?;
    let certificate = Certificate::from_bundle(&issued.bundle).map_err(|error| {
        AcmeError::transient(format!("the CA's certificate can't be used: {error}"))
    })?;
    if !certificate.covers(&name) {
        let names = certificate.facts().names.join(", ");
        return Err(AcmeError::transient(format!(
            "the CA's certificate is for other names: {names}"
        )));
    }
    let url = ca.directory_url().to_owned();
    let now = millis(SystemTime::now());
    meta.account = Some(issued.account);
    meta.challenge = issued.challenge.or(meta.challenge);
    meta.attempts = 0;
    meta.next_ms = None;
    meta.last_error = None;
    // Those are of the previous certificate.
    meta.window_ms = None;
    meta.renew_ms = None;
    meta.explanation_url = None;
    meta.issued_ms.push(now);
    let forgotten = meta.issued_ms.len().saturating_sub(MAX_ISSUANCE_TIMES);
    meta.issued_ms.drain(..forgotten);
    log(&mut meta, Attempt { at_ms: now, directory_url: url.clone(), error: None });
    step("asking the CA for the renewal window");
    take_window(&mut meta, ca.renewal_window(certificate.leaf()).await.ok().flatten());
    step("storing it");
    let (bundle, of, kept) = (issued.bundle, url.clone(), meta.clone());
    let saved = shared.on_disk(move |storage| storage.save(&of, &name, &bundle, &kept)).await;
    saved.map_err(|error| {
        AcmeError::transient(format!("the certificate can't be stored: {error}"))
    })?;
    let served = Arc::new(shared.serving.serve(certificate, shared.trust_in(&url)));
    Ok(Obtained { served, meta, directory_url: url })
}

/// Asks the CA for the renewal window of a certificate.
pub(super) async fn window(ca: Ca, served: Arc<Served>) -> JobOutcome {
    let window = ca.renewal_window(served.certificate.leaf()).await;
    if let Err(error) = &window {
        tracing::debug!(%error, "no renewal information");
    }
    JobOutcome::Window(window.ok().flatten())
}

/// Adds an attempt to the log.
fn log(meta: &mut Meta, attempt: Attempt) {
    meta.log.insert(0, attempt);
    meta.log.truncate(MAX_LOGGED_ATTEMPTS);
}

/// Stores the CA's renewal window. The time within it is chosen once, and kept as long as the
/// window is the same (RFC 9773 §4.2).
pub(super) fn take_window(meta: &mut Meta, window: Option<RenewalWindow>) {
    let Some(window) = window else { return };
    let bounds = (millis(window.start), millis(window.end));
    if meta.window_ms != Some(bounds) {
        meta.window_ms = Some(bounds);
        meta.renew_ms = None;
    }
    meta.explanation_url = window.explanation_url;
}

/// When to renew a certificate; the choice is kept in `meta`.
pub(super) fn renewal(meta: &mut Meta, certificate: &Certificate) -> SystemTime {
    if let Some(at) = meta.renew_ms {
        return time(at);
    }
    let window = meta.window_ms.map(|(start, end)| (time(start), time(end)));
    let at = schedule::renew_at(
        certificate.not_before(),
        certificate.not_after(),
        window,
        fastrand::f64(),
    );
    meta.renew_ms = Some(millis(at));
    at
}
