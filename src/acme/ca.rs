//! One CA, as the rest of the program knows it.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use instant_acme::{LetsEncrypt, RevocationRequest};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use tracing::warn;

use super::account::blocking;
use super::challenge::{Challenges, Posted};
use super::connection::Connection;
use super::error::AcmeError;
use super::order_file::Answer;
use super::prove;
use super::renewal::{self, RenewalWindow};
use super::storage::Storage;
use super::trust;
use crate::config::IssuerSettings;
use crate::model::{AccountInfo, ChallengeKind, DomainName, RevocationReason};

/// One CA, and our account there. A clone is the same one.
#[derive(Clone)]
pub struct Ca(Arc<Shared>);

/// Which listeners of ours there are: a challenge is used only where it can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// One for plain HTTP, as http-01 needs it.
    pub http: bool,
    /// One for HTTPS, as tls-alpn-01 needs it.
    pub tls: bool,
}

/// What is wanted of a CA.
#[derive(Debug, Clone)]
pub struct OrderRequest {
    /// The name to be signed.
    pub name: DomainName,
    /// The certificate that it takes the place of, if this CA signed it.
    pub replaces: Option<CertificateDer<'static>>,
    /// The challenge to begin with, such as the one that worked last.
    pub prefer: Option<ChallengeKind>,
    /// The challenge to use only when there is no other, such as the one that failed last.
    pub avoid: Option<ChallengeKind>,
}

/// What a CA has signed.
#[derive(Clone)]
pub struct Issued {
    /// The private key (PKCS#8), the certificate and its chain, PEM.
    pub bundle: String,
    /// The challenge that proved the name; nothing where the CA still believed an earlier proof.
    pub challenge: Option<ChallengeKind>,
    /// The account it was ordered with.
    pub account: String,
}

impl fmt::Debug for Issued {
    /// The key stays out of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("challenge", &self.challenge)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// What the clones of a [`Ca`] share.
pub(super) struct Shared {
    pub(super) issuer: IssuerSettings,
    pub(super) dns_hook: Option<PathBuf>,
    pub(super) listeners: Listeners,
    pub(super) storage: Storage,
    challenges: Challenges,
    /// Held while an account is made or forgotten.
    pub(super) registering: AsyncMutex<()>,
    /// What is answered for the orders that are under way. Here and not in the future that works on an
    /// order: when that is dropped, the CA may still be about to look.
    posted: Mutex<HashMap<DomainName, Vec<(Answer, Posted)>>>,
    connection: OnceCell<Connection>,
}

impl Ca {
    /// A CA that is neither connected to nor read about yet.
    pub fn new(
        issuer: IssuerSettings,
        dns_hook: Option<PathBuf>,
        listeners: Listeners,
        storage: Storage,
        challenges: Challenges,
    ) -> Self {
        Self(Arc::new(Shared {
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

    /// Its directory.
    pub fn directory_url(&self) -> &str {
        &self.0.issuer.directory_url
    }

    /// Whether it is Let's Encrypt, be it the staging one.
    pub fn is_public(&self) -> bool {
        self.0.is_public()
    }

    /// Whether it is one whose certificates nobody trusts.
    pub fn is_staging(&self) -> bool {
        self.directory_url() == LetsEncrypt::Staging.url()
    }

    /// Whether it can be asked to sign a name at all.
    ///
    /// # Errors
    /// When it can't, and what would have to be otherwise.
    pub fn can_sign(&self, name: &DomainName) -> Result<(), AcmeError> {
        self.0.can_sign(name)
    }

    /// Gets a certificate, from the order to the chain; goes on with an order that was cut short. The
    /// order is remembered until [`Storage::save`] has kept what it came to. `step` is told what is
    /// being done.
    ///
    /// Dropping the future stops the work where it is; the next call goes on from there.
    ///
    /// # Errors
    /// When the CA refuses, can't be reached, or does not come to a decision.
    pub async fn issue(
        &self,
        order: OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Issued, AcmeError> {
        self.0.issue(&order, step).await
    }

    /// When the CA wants a certificate to be renewed (RFC 9773); nothing where it has no opinion, or
    /// none that makes sense.
    ///
    /// # Errors
    /// When it can't be asked, or does not know the certificate.
    pub async fn renewal_window(
        &self,
        leaf: &CertificateDer<'_>,
    ) -> Result<Option<RenewalWindow>, AcmeError> {
        renewal::ask(&self.0, leaf).await
    }

    /// Revokes a certificate; one that is revoked already is fine.
    ///
    /// # Errors
    /// When the CA refuses, as it does for a certificate of another account.
    pub async fn revoke(
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
    pub fn account(&self) -> AccountInfo {
        self.0.account_info()
    }

    /// Makes the account when there is none.
    ///
    /// # Errors
    /// When the CA refuses or can't be reached, or the account can't be kept.
    pub async fn register(&self) -> Result<AccountInfo, AcmeError> {
        self.0.session().await?;
        let ca = self.clone();
        let info = blocking(move || Ok(ca.account())).await;
        info.map_err(|error| AcmeError::transient(error.to_string()))
    }

    /// Answers the challenges of orders that an earlier process left, as the CA may be looking at them
    /// just now. Reads files; to be called before anything is ordered.
    pub fn restore(&self) {
        for order in self.0.storage.orders(self.directory_url()) {
            if order.is_old() {
                continue;
            }
            for answer in &order.answers {
                if let Err(error) = self.0.keep_answering(&order.name, answer) {
                    warn!(name = %order.name, error, "a challenge cannot be answered again");
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

impl Shared {
    pub(super) fn is_public(&self) -> bool {
        [LetsEncrypt::Production, LetsEncrypt::Staging]
            .iter()
            .any(|known| known.url() == self.issuer.directory_url)
    }

    /// Answers a challenge until [`stop_answering`](Self::stop_answering); DNS records are set elsewhere.
    pub(super) fn keep_answering(&self, name: &DomainName, answer: &Answer) -> Result<(), String> {
        let known =
            |posted: &Vec<(Answer, Posted)>| posted.iter().any(|(known, _)| known == answer);
        if self.posted.lock().get(name).is_some_and(known) {
            return Ok(());
        }
        if let Some(posted) = prove::post(&self.challenges, answer)? {
            let mut all = self.posted.lock();
            all.entry(name.clone()).or_default().push((answer.clone(), posted));
        }
        Ok(())
    }

    /// Gives out what is answered for a name: it ends when that is dropped.
    pub(super) fn stop_answering(&self, name: &DomainName) -> Vec<(Answer, Posted)> {
        self.posted.lock().remove(name).unwrap_or_default()
    }

    pub(super) async fn connection(&self) -> Result<&Connection, AcmeError> {
        let connect = || async {
            let ca_root = self.issuer.ca_root.clone();
            let hint = match &ca_root {
                Some(_) => "`ca_root` is a PEM file with certificates",
                None => "install the system's root certificates (`ca-certificates`)",
            };
            let url = self.issuer.directory_url.clone();
            let made = blocking(move || {
                Ok(trust::client_config(ca_root.as_deref())
                    .and_then(|config| Connection::new(url, config)))
            });
            let made = made.await.unwrap_or_else(|error| Err(error.to_string()));
            made.map_err(|why| AcmeError::blocked(why).with_hint(hint))
        };
        self.connection.get_or_try_init(connect).await
    }
}
