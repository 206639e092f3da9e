//! What the parts of one CA's work share.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use instant_acme::LetsEncrypt;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use super::challenge::{Challenges, Posted};
use super::connection::Connection;
use super::error::AcmeError;
use super::order_file::Answer;
use super::storage::Storage;
use crate::config::IssuerSettings;
use crate::https_client;
use crate::model::DomainName;

/// Which listeners the server has: a challenge is only used if it can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listeners {
    /// One for plain HTTP, as http-01 needs it.
    pub http: bool,
    /// One for HTTPS, as tls-alpn-01 needs it.
    pub tls: bool,
}

/// What the clones of a [`Ca`](super::Ca) share.
pub(super) struct CaContext {
    pub(super) issuer: IssuerSettings,
    pub(super) dns_hook: Option<PathBuf>,
    pub(super) listeners: Listeners,
    pub(super) storage: Storage,
    pub(super) challenges: Challenges,
    /// Locked while an account is made or removed.
    pub(super) registering: AsyncMutex<()>,
    /// The answers for running orders. They are here and not in the future of an order: when that
    /// is dropped, the CA may still be about to check.
    pub(super) posted: Mutex<HashMap<DomainName, Vec<(Answer, Posted)>>>,
    pub(super) connection: OnceCell<Connection>,
}

impl CaContext {
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
        if let Some(posted) = self.challenges.post(answer)? {
            let mut all = self.posted.lock();
            all.entry(name.clone()).or_default().push((answer.clone(), posted));
        }
        Ok(())
    }

    /// Takes the answers for a name out; dropping them ends them.
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
                Ok(https_client::client_config(ca_root.as_deref())
                    .and_then(|config| Connection::new(url, config)))
            });
            let made = made.await.unwrap_or_else(|error| Err(error.to_string()));
            made.map_err(|why| AcmeError::local(why).with_hint(hint))
        };
        self.connection.get_or_try_init(connect).await
    }
}

/// Runs blocking work on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
