//! What the keeper, its handle and its jobs share.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use super::entry::Entry;
use super::plan::{Plan, plan};
use crate::acme::{Ca, Storage};
use crate::config::{CertificateFiles, OnDemandSettings};
use crate::model::{Actor, CertificateNews, DomainName, TlsMode};
use crate::state::Reader;
use crate::tls::{Authority, AuthorityError, CertStore, Serving, Trust};

/// Adds an event of a certificate to the history. A callback, so that this room does not import
/// control.
pub(crate) type Journal = Arc<
    dyn Fn(Actor, DomainName, CertificateNews) -> Pin<Box<dyn Future<Output = ()> + Send>>
        + Send
        + Sync,
>;

/// The settings of certificates.
pub(crate) struct CertSettings {
    /// The ACME CAs, in the order in which they are tried.
    pub cas: Vec<Ca>,
    /// Certificates on demand, for names that are not declared.
    pub on_demand: Option<OnDemandSettings>,
    /// Where ACME's and imported certificates are.
    pub storage: Storage,
    /// The directory of our own CA.
    pub authority_dir: PathBuf,
    /// The certificate for clients that name no host, or an unknown one.
    pub default_certificate: Option<CertificateFiles>,
}

pub(super) struct KeeperContext {
    pub(super) settings: CertSettings,
    pub(super) reader: Reader,
    pub(super) store: CertStore,
    pub(super) serving: Serving,
    /// By name. Only the keeper writes; commands and metrics read it, requests never.
    pub(super) table: RwLock<BTreeMap<DomainName, Entry>>,
    /// Why the default certificate's files can't be used now.
    pub(super) default_error: RwLock<Option<String>>,
    /// Notifies about each change of the table.
    pub(super) changed: watch::Sender<()>,
    /// Notifies about a reload of the config: missing files may exist now.
    pub(super) reloaded: Notify,
    authority: Mutex<Option<Arc<Authority>>>,
}

impl KeeperContext {
    pub(super) fn new(
        settings: CertSettings,
        reader: Reader,
        store: CertStore,
        serving: Serving,
    ) -> Self {
        Self {
            settings,
            reader,
            store,
            serving,
            table: RwLock::default(),
            default_error: RwLock::default(),
            changed: watch::Sender::new(()),
            reloaded: Notify::new(),
            authority: Mutex::default(),
        }
    }

    /// Where the certificate of a name should come from; `tls` is its domain's option.
    pub(super) fn plan(&self, name: &DomainName, tls: &TlsMode) -> Plan {
        plan(name, tls, &self.settings.cas, self.settings.on_demand.is_some())
    }

    /// Reads or changes what is stored.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Storage) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let storage = self.settings.storage.clone();
        let done = tokio::task::spawn_blocking(move || work(&storage)).await;
        done.unwrap_or_else(|_| Err(io::Error::other("the server is stopping")))
    }

    /// Our own CA, which is made when it is first needed. Blocks.
    pub(super) fn authority(&self) -> Result<Arc<Authority>, AuthorityError> {
        let mut authority = self.authority.lock();
        if let Some(authority) = &*authority {
            return Ok(Arc::clone(authority));
        }
        let opened = Arc::new(Authority::open(&self.settings.authority_dir)?);
        *authority = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The CA at a directory URL, where it is configured.
    pub(super) fn ca(&self, directory_url: &str) -> Option<&Ca> {
        self.settings.cas.iter().find(|ca| ca.directory_url() == directory_url)
    }

    /// A CA's directory URL as shown to people.
    pub(super) fn shown_url(&self, directory_url: &str) -> String {
        self.ca(directory_url).map_or(directory_url, Ca::shown_url).to_owned()
    }

    /// Whether clients trust what a CA signs.
    pub(super) fn trust_in(&self, directory_url: &str) -> Trust {
        match self.ca(directory_url) {
            Some(ca) if !ca.is_staging() => Trust::Public,
            _ => Trust::Private,
        }
    }
}
