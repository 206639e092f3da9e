//! One CA, as the rest of the program knows it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use instant_acme::{LetsEncrypt, RevocationRequest};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use tracing::warn;

use super::challenge::Challenges;
use super::context::{CaContext, Listeners, blocking};
use super::error::AcmeError;
use super::order::{Issued, OrderRequest};
use super::renewal::{self, RenewalWindow};
use super::storage::Storage;
use crate::config::IssuerSettings;
use crate::model::{AccountInfo, DomainName, RevocationReason};

/// One CA, and our account there. Clones share it.
#[derive(Clone)]
pub(crate) struct Ca(Arc<CaContext>);

impl Ca {
    /// A CA; nothing is connected or read yet.
    pub(crate) fn new(
        issuer: IssuerSettings,
        dns_hook: Option<PathBuf>,
        listeners: Listeners,
        storage: Storage,
        challenges: Challenges,
    ) -> Self {
        Self(Arc::new(CaContext {
            issuer,
            dns_hook,
            listeners,
            storage,
            challenges,
            registering: AsyncMutex::default(),
            posted: Mutex::default(),
            connection: OnceCell::new(),
        }))
    }

    pub(crate) fn directory_url(&self) -> &str {
        &self.0.issuer.directory_url
    }

    /// Its directory URL as shown to people.
    pub(crate) fn shown_url(&self) -> &str {
        self.0.issuer.shown_url()
    }

    /// Whether it is Let's Encrypt, be it the staging one.
    pub(crate) fn is_public(&self) -> bool {
        self.0.is_public()
    }

    /// Whether it is a staging CA, whose certificates clients don't trust.
    pub(crate) fn is_staging(&self) -> bool {
        self.directory_url() == LetsEncrypt::Staging.url()
    }

    /// Whether it can be asked to sign a name at all.
    ///
    /// # Errors
    /// When it can't; the hint says what to change.
    pub(crate) fn can_sign(&self, name: &DomainName) -> Result<(), AcmeError> {
        self.0.can_sign(name)
    }

    /// Gets a certificate, from the order to the chain; resumes an interrupted order. The order
    /// stays on disk until [`Storage::save`] has stored its result. `step` is called with each
    /// step.
    ///
    /// Dropping the future stops the work; the next call resumes it.
    ///
    /// # Errors
    /// When the CA refuses, can't be reached, or does not decide in time.
    pub(crate) async fn issue(
        &self,
        order: OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Issued, AcmeError> {
        self.0.issue(&order, step).await
    }

    /// The CA's renewal window of a certificate (RFC 9773); `None` if it has none, or an
    /// implausible one.
    ///
    /// # Errors
    /// When it can't be asked, or does not know the certificate.
    pub(crate) async fn renewal_window(
        &self,
        leaf: &CertificateDer<'_>,
    ) -> Result<Option<RenewalWindow>, AcmeError> {
        renewal::ask(&self.0, leaf).await
    }

    /// Revokes a certificate; if it is already revoked, this succeeds.
    ///
    /// # Errors
    /// When the CA refuses, as it does for a certificate of another account.
    pub(crate) async fn revoke(
        &self,
        leaf: &CertificateDer<'_>,
        reason: RevocationReason,
    ) -> Result<(), AcmeError> {
        let session = self.0.session().await?;
        let request = RevocationRequest {
            certificate: leaf,
            reason: Some(match reason {
                RevocationReason::Unspecified => instant_acme::RevocationReason::Unspecified,
                RevocationReason::KeyCompromise => instant_acme::RevocationReason::KeyCompromise,
                RevocationReason::Superseded => instant_acme::RevocationReason::Superseded,
                RevocationReason::CessationOfOperation => {
                    instant_acme::RevocationReason::CessationOfOperation
                }
            }),
        };
        let revoked = session.account.revoke(&request).await;
        match revoked.map_err(|error| session.error(error).at_the_account()) {
            Err(error) if error.is("alreadyRevoked") => Ok(()),
            revoked => revoked,
        }
    }

    /// What is known of the account. Reads a file.
    pub(crate) fn account(&self) -> AccountInfo {
        self.0.account_info()
    }

    /// Makes the account when there is none.
    ///
    /// # Errors
    /// When the CA refuses or can't be reached, or the account can't be saved.
    pub(crate) async fn register(&self) -> Result<AccountInfo, AcmeError> {
        self.0.session().await?;
        let ca = self.clone();
        let info = blocking(move || Ok(ca.account())).await;
        info.map_err(|error| AcmeError::transient(error.to_string()))
    }

    /// Restores the answers to challenges of an earlier process's orders, because the CA may be
    /// checking them right now, and removes obsolete orders. Reads and writes files; call it before
    /// anything is ordered.
    pub(crate) fn restore(&self) {
        let (storage, url) = (&self.0.storage, self.directory_url());
        for order in storage.orders(url) {
            // A process that ends between the two steps leaves the order beside its certificate.
            if order.is_old() || storage.is_fulfilled(url, &order) {
                if let Err(error) = storage.remove_order(url, &order.name) {
                    warn!(name = %order.name, %error, "a finished order cannot be removed");
                }
                continue;
            }
            for answer in &order.answers {
                if let Err(error) = self.0.keep_answering(&order.name, answer) {
                    warn!(name = %order.name, error, "the answer to a challenge cannot be restored");
                }
            }
        }
    }
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ca").field(&self.directory_url()).finish()
    }
}
