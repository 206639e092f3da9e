//! What is done for a certificate beside the keeper: the long talks with CAs.

use std::sync::Arc;
use std::time::SystemTime;

use super::shared::Shared;
use crate::acme::{AcmeError, Ca, ErrorKind, Meta, OrderRequest, RenewalWindow, ask, schedule};
use crate::clock::{millis, time};
use crate::model::{Attempt, ChallengeKind, DomainName};
use crate::tls::{Certificate, Served};

/// Attempts that are told of a name.
const LOGGED: usize = 10;

/// Times of issuances that are remembered of a name.
const REMEMBERED: usize = 20;

/// An order that is to be made.
pub(super) struct Order {
    pub(super) name: DomainName,
    /// The CA that is asked, and those that are when it can't be.
    pub(super) cas: Vec<Ca>,
    pub(super) meta: Meta,
    /// What it takes the place of, and the directory of the CA that signed that.
    pub(super) replaces: Option<(String, Arc<Served>)>,
    pub(super) failed_challenge: Option<ChallengeKind>,
}

/// How a job ended.
pub(super) enum Ended {
    /// A certificate was ordered, and is stored.
    Obtained(Box<Obtained>),
    /// It could not be: why, at the CA that was asked first, and all attempts.
    Failed { directory_url: String, failure: Failure, log: Vec<Attempt> },
    /// The name may be ordered for.
    Allowed,
    /// The name is not allowed.
    Denied(String),
    /// There is nobody to order from.
    NoCa,
    /// The CA was asked when it wants the certificate renewed.
    Window(Option<RenewalWindow>),
}

pub(super) struct Obtained {
    pub(super) served: Arc<Served>,
    pub(super) meta: Meta,
    pub(super) directory_url: String,
}

/// Why an order failed.
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) hint: Option<String>,
    pub(super) kind: ErrorKind,
    pub(super) retry_after: Option<SystemTime>,
    pub(super) challenge: Option<ChallengeKind>,
    /// Whether a file of this machine is why, and no CA was asked.
    pub(super) is_local: bool,
}

impl Ended {
    /// An order that panicked, or was cut short.
    pub(super) fn broken(error: &tokio::task::JoinError) -> Self {
        let failure = Failure::ours(format!("the order broke: {error}"));
        Self::Failed { directory_url: String::new(), failure, log: Vec::new() }
    }
}

impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        Self {
            text: error.to_string(),
            hint: error.hint(),
            kind: error.kind(),
            retry_after: error.retry_after(),
            challenge: error.challenge(),
            is_local: error.is_local(),
        }
    }
}

impl Failure {
    fn ours(text: String) -> Self {
        let kind = ErrorKind::Transient;
        Self { text, hint: None, kind, retry_after: None, challenge: None, is_local: false }
    }
}

/// Asks whether a name that nobody declared may have a certificate.
pub(super) async fn ask_about(url: &str, name: &DomainName) -> Ended {
    match ask(url, &name.to_string()).await {
        Ok(true) => Ended::Allowed,
        Ok(false) => Ended::Denied("the name is not allowed".to_owned()),
        Err(error) => Ended::Denied(format!("nobody says that it is allowed: {error}")),
    }
}

/// Orders a certificate and stores it. `step` is told what is being done.
pub(super) async fn order(
    shared: Arc<Shared>,
    order: Order,
    step: impl Fn(&str) + Send + Sync + 'static,
) -> Ended {
    let mut first: Option<(String, Failure)> = None;
    let mut order = order;
    for ca in std::mem::take(&mut order.cas) {
        match obtain(&shared, &order, &ca, &step).await {
            Ok(obtained) => return Ended::Obtained(Box::new(obtained)),
            Err(failure) => {
                let directory_url = ca.directory_url().to_owned();
                // What is wrong with the name is wrong at every CA, and each counts failures.
                let is_names = failure.kind == ErrorKind::Validation;
                tracing::debug!(name = %order.name, directory_url, error = failure.text, "CA failed");
                let (at_ms, error) = (millis(SystemTime::now()), Some(failure.text.clone()));
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
        Some((directory_url, failure)) => Ended::Failed { directory_url, failure, log },
        None => Ended::NoCa,
    }
}

async fn obtain(
    shared: &Arc<Shared>,
    order: &Order,
    ca: &Ca,
    step: &(impl Fn(&str) + Send + Sync),
) -> Result<Obtained, Failure> {
    let (name, mut meta) = (order.name.clone(), order.meta.clone());
    let replaces = order.replaces.as_ref().filter(|(of, _)| of == ca.directory_url());
    let request = OrderRequest {
        name: name.clone(),
        replaces: replaces.map(|(_, served)| served.certificate.leaf().clone()),
        prefer: meta.challenge,
        avoid: order.failed_challenge,
    };
    let issued = ca.issue(request, step).await?;
    let certificate = Certificate::from_bundle(&issued.bundle)
        .map_err(|error| Failure::ours(format!("the CA's certificate can't be used: {error}")))?;
    if !certificate.covers(&name) {
        let names = certificate.facts().names.join(", ");
        return Err(Failure::ours(format!("the CA's certificate is for other names: {names}")));
    }
    let url = ca.directory_url().to_owned();
    let now = millis(SystemTime::now());
    meta.account = Some(issued.account);
    meta.challenge = issued.challenge.or(meta.challenge);
    meta.attempts = 0;
    meta.next_ms = None;
    meta.last_error = None;
    // Those of the one before.
    meta.window_ms = None;
    meta.renew_ms = None;
    meta.explanation_url = None;
    meta.issued_ms.push(now);
    let forgotten = meta.issued_ms.len().saturating_sub(REMEMBERED);
    meta.issued_ms.drain(..forgotten);
    log(&mut meta, Attempt { at_ms: now, directory_url: url.clone(), error: None });
    step("asking the CA when to renew it");
    take_window(&mut meta, ca.renewal_window(certificate.leaf()).await.ok().flatten());
    step("storing it");
    let (storage, bundle) = (shared.settings.storage.clone(), issued.bundle);
    let (stored_meta, stored_url, stored_name) = (meta.clone(), url.clone(), name);
    let saved = tokio::task::spawn_blocking(move || {
        storage.save(&stored_url, &stored_name, &bundle, &stored_meta)
    });
    saved
        .await
        .unwrap_or_else(|_| Err(std::io::Error::other("the server is stopping")))
        .map_err(|error| Failure::ours(format!("the certificate can't be stored: {error}")))?;
    let served = Arc::new(shared.serving.serve(certificate, shared.trust_in(&url)));
    Ok(Obtained { served, meta, directory_url: url })
}

/// Asks the CA when it wants a certificate renewed.
pub(super) async fn window(ca: Ca, served: Arc<Served>) -> Ended {
    let window = ca.renewal_window(served.certificate.leaf()).await;
    if let Err(error) = &window {
        tracing::debug!(%error, "no renewal information");
    }
    Ended::Window(window.ok().flatten())
}

/// Adds an attempt to those that are told.
fn log(meta: &mut Meta, attempt: Attempt) {
    meta.log.insert(0, attempt);
    meta.log.truncate(LOGGED);
}

/// Takes in when the CA wants the certificate renewed. The time within is chosen once, and kept for as
/// long as the window is the same (RFC 9773 §4.2).
pub(super) fn take_window(meta: &mut Meta, window: Option<RenewalWindow>) {
    let Some(window) = window else { return };
    let bounds = (millis(window.start), millis(window.end));
    if meta.window_ms != Some(bounds) {
        meta.window_ms = Some(bounds);
        meta.renew_ms = None;
    }
    meta.explanation_url = window.explanation_url;
}

/// When a certificate is to be renewed; the choice is kept in `meta`.
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
