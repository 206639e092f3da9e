//! One certificate, from the order to the chain.
//!
//! Everything that a step needs is on disk before it: the key before the request is signed, the
//! order's URL and the answers before the CA is asked to check.

use std::time::Duration;

use instant_acme::{
    CertificateIdentifier, Error, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use tokio::time::sleep;
use tracing::{info, warn};

use super::account::Session;
use super::bundle;
use super::challenge::Posted;
use super::context::{CaContext, blocking};
use super::error::{AcmeError, ErrorKind};
use super::order::{Issued, OrderRequest, OrderRun, retried};
use super::order_file::{Answer, OrderFile};
use super::prove::why;
use crate::clock::now_ms;
use crate::model::{ChallengeKind, DomainName};

/// How an order is polled. `Retry-After` takes precedence.
const POLL_POLICY: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.2)
    .timeout(Duration::from_mins(3));

impl CaContext {
    pub(super) async fn issue(
        &self,
        request: &OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Issued, AcmeError> {
        self.can_sign(&request.name)?;
        step("opening the account");
        let session = self.session().await?;
        match self.attempt(&session, request, step).await {
            Err(error) if error.is("accountDoesNotExist") => {
                self.forget_account(session.account.id()).await?;
                let session = self.session().await?;
                self.attempt(&session, request, step).await
            }
            done => done,
        }
    }

    async fn attempt(
        &self,
        session: &Session,
        request: &OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Issued, AcmeError> {
        let name = &request.name;
        if let Some(run) = self.resume(session, name).await? {
            match self.run(session, run, request, step).await {
                // The CA may have checked while the server was down: that is no reason to wait.
                Err(error) if matches!(error.kind(), ErrorKind::Validation) => {
                    info!(%name, %error, "the saved order has failed; placing a new one");
                }
                done => return done,
            }
        }
        step("ordering");
        let run = self.start(session, request).await?;
        self.run(session, run, request, step).await
    }

    /// Completes an order, whatever its state.
    async fn run(
        &self,
        session: &Session,
        mut run: OrderRun,
        request: &OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Issued, AcmeError> {
        let name = &request.name;
        let result = self.carry_on(session, &mut run, request, step).await;
        self.clean_up(name, &run.file.answers).await;
        match result {
            Ok(issued) => {
                info!(
                    %name,
                    directory_url = self.issuer.directory_url,
                    challenge = issued.challenge.map(ChallengeKind::as_str),
                    "certificate obtained"
                );
                linger(self.stop_answering(name));
                Ok(issued)
            }
            Err(error) => {
                if is_over(&mut run.order, &error) {
                    self.forget_order(name).await;
                }
                Err(error)
            }
        }
    }

    /// Places an order and saves it.
    async fn start(
        &self,
        session: &Session,
        request: &OrderRequest,
    ) -> Result<OrderRun, AcmeError> {
        let name = &request.name;
        let key = bundle::new_key(self.issuer.key_type).map_err(AcmeError::transient)?;
        let mut file = OrderFile {
            name: name.clone(),
            account: session.account.id().to_owned(),
            url: String::new(),
            key,
            created_ms: now_ms(),
            answers: Vec::new(),
        };
        // A full or read-only disk is noticed before it costs an order.
        self.keep_order(&file).await?;
        let order = self.place(session, request).await?;
        order.url().clone_into(&mut file.url);
        self.keep_order(&file).await?;
        Ok(OrderRun { order, file, resumed: false })
    }

    async fn place(&self, session: &Session, request: &OrderRequest) -> Result<Order, AcmeError> {
        let name = &request.name;
        let identifiers = match bundle::ip(name) {
            Some(ip) => [Identifier::Ip(ip)],
            None => [Identifier::Dns(name.to_string())],
        };
        let profile = self.profile(session, bundle::ip(name).is_some())?;
        let order = |replaces: Option<CertificateIdentifier<'static>>| {
            let mut order = NewOrder::new(&identifiers);
            if let Some(profile) = &profile {
                order = order.profile(profile);
            }
            if let Some(replaces) = replaces {
                order = order.replaces(replaces);
            }
            order
        };
        // Without a key identifier the replaced certificate can't be named.
        let replaces = request.replaces.as_ref();
        let replaces = replaces.and_then(|leaf| CertificateIdentifier::try_from(leaf).ok());
        if let Some(replaces) = replaces {
            let replaces = replaces.into_owned();
            let replacing = order(Some(replaces));
            match retried!(session.account.new_order(&replacing)) {
                Ok(placed) => return Ok(placed),
                Err(error) if is_about_replacing(&error) => {
                    info!(%name, %error, "ordering without `replaces`");
                }
                Err(error) => return Err(session.error(error).at_the_order()),
            }
        }
        let plain = order(None);
        let placed = retried!(session.account.new_order(&plain));
        placed.map_err(|error| session.error(error).at_the_order())
    }

    /// The profile to ask for; an address needs certificates of a few days.
    fn profile(&self, session: &Session, address: bool) -> Result<Option<String>, AcmeError> {
        let has = |name: &str| session.account.profiles().any(|profile| profile.name == name);
        match &self.issuer.profile {
            Some(profile) if has(profile) => Ok(Some(profile.clone())),
            Some(profile) => {
                let names: Vec<_> = session.account.profiles().map(|p| p.name).collect();
                if names.is_empty() {
                    warn!(
                        directory_url = self.issuer.directory_url,
                        profile, "the CA has no profiles; ordering without one"
                    );
                    return Ok(None);
                }
                let words = format!("the CA has no profile `{profile}`");
                Err(AcmeError::blocked(words)
                    .with_hint(format!("set `profile` to one of {}", names.join(", "))))
            }
            None if address && has("shortlived") => Ok(Some("shortlived".to_owned())),
            None => Ok(None),
        }
    }

    /// The order that an earlier attempt left, if the CA still has it.
    async fn resume(
        &self,
        session: &Session,
        name: &DomainName,
    ) -> Result<Option<OrderRun>, AcmeError> {
        let (storage, of) = (self.storage.clone(), name.clone());
        let url = self.issuer.directory_url.clone();
        let file = match blocking(move || storage.load_order(&url, &of)).await {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error) => {
                warn!(%name, %error, "an order's file cannot be read");
                self.forget_order(name).await;
                return Ok(None);
            }
        };
        if file.url.is_empty() || file.is_old() || file.account != session.account.id() {
            self.clean_up(name, &file.answers).await;
            self.forget_order(name).await;
            return Ok(None);
        }
        match retried!(session.account.order(file.url.clone())) {
            Ok(order) => {
                info!(%name, directory_url = self.issuer.directory_url, "order resumed");
                Ok(Some(OrderRun { order, file, resumed: true }))
            }
            Err(error) => {
                let unreadable = matches!(error, Error::Json(_));
                let error = session.error(error);
                if unreadable || matches!(error.status(), Some(400 | 401 | 403 | 404)) {
                    if error.is("accountDoesNotExist") {
                        return Err(error);
                    }
                    self.clean_up(name, &file.answers).await;
                    self.forget_order(name).await;
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    /// Does what the order's status asks for, until there is a certificate.
    async fn carry_on(
        &self,
        session: &Session,
        run: &mut OrderRun,
        request: &OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Issued, AcmeError> {
        let name = &request.name;
        let mut used = None;
        if run.order.state().status == OrderStatus::Pending {
            used = match self.prove(session, run, request, step).await {
                Ok(used) => used,
                // A CA may check at once; then it must not wait for us.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Validation | ErrorKind::Blocked) =>
                {
                    return Err(why(&mut run.order, name, error).await);
                }
                Err(error) => return Err(error),
            };
            match used {
                Some(kind) => step(&format!("waiting for the CA to check {kind}")),
                None => step("waiting for the CA"),
            }
            let waited = retried!(run.order.poll_ready(&POLL_POLICY));
            if run.order.state().status != OrderStatus::Invalid {
                waited.map_err(|error| session.error(error).with_challenge(used))?;
            }
        }
        // A resumed order was proven by the saved answers.
        let used = used.or_else(|| run.file.answers.last().map(Answer::kind));
        if run.order.state().status == OrderStatus::Invalid {
            let otherwise = run.order.state().error.as_ref().map(AcmeError::of_problem);
            let otherwise = otherwise.unwrap_or_else(|| {
                AcmeError::new(ErrorKind::Validation, "the CA did not accept the order")
            });
            return Err(why(&mut run.order, name, otherwise.with_challenge(used)).await);
        }
        step("waiting for the certificate");
        if run.order.state().status == OrderStatus::Ready {
            let csr = bundle::signing_request(name, &run.file.key).map_err(AcmeError::transient)?;
            match retried!(run.order.finalize_csr(&csr)).map_err(|error| session.error(error)) {
                // The certificate is already being made: the status was read before.
                Err(error) if error.is("orderNotReady") => {}
                done => done?,
            }
        }
        let chain = retried!(run.order.poll_certificate(&POLL_POLICY));
        let chain = chain.map_err(|error| session.error(error))?;
        match bundle::bundle(name, &run.file.key, &chain) {
            Ok(bundle) => Ok(Issued { bundle, challenge: used, account: run.file.account.clone() }),
            Err(why) => {
                // The result would be the same.
                self.forget_order(name).await;
                Err(AcmeError::transient(why))
            }
        }
    }

    pub(super) async fn keep_order(&self, file: &OrderFile) -> Result<(), AcmeError> {
        let (storage, file) = (self.storage.clone(), file.clone());
        let url = self.issuer.directory_url.clone();
        let kept = blocking(move || storage.save_order(&url, &file)).await;
        kept.map_err(|error| AcmeError::file("the order cannot be saved", &error))
    }

    /// Removes an order and its answers.
    async fn forget_order(&self, name: &DomainName) {
        drop(self.stop_answering(name));
        let (storage, of) = (self.storage.clone(), name.clone());
        let url = self.issuer.directory_url.clone();
        if let Err(error) = blocking(move || storage.remove_order(&url, &of)).await {
            warn!(%name, %error, "a finished order cannot be removed");
        }
    }
}

/// Whether an order must not be resumed after an error.
fn is_over(order: &mut Order, error: &AcmeError) -> bool {
    order.state().status == OrderStatus::Invalid
        || matches!(error.kind(), ErrorKind::Validation | ErrorKind::Blocked)
}

/// Whether an order was refused because of `replaces`. CAs report that in several ways.
fn is_about_replacing(error: &Error) -> bool {
    match error {
        Error::Unsupported(_) => true,
        Error::Other(error) => error.to_string().contains("replaces field mismatch"),
        Error::Api(problem) => {
            let about = |text: &Option<String>, part| {
                text.as_deref().is_some_and(|text| text.contains(part))
            };
            about(&problem.r#type, "alreadyReplaced")
                || about(&problem.detail, "replace")
                || about(&problem.detail, "ARI")
        }
        _ => false,
    }
}

/// Keeps answering for a while: a CA checks from several places, and not all at once.
fn linger(posted: Vec<(Answer, Posted)>) {
    tokio::spawn(async move {
        sleep(Duration::from_mins(1)).await;
        drop(posted);
    });
}
