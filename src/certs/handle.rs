//! The handle on the keeper: the commands on certificates.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};

use super::command::{Command, Reply};
use super::context::{CertSettings, Journal, KeeperContext};
use super::error::CertError;
use super::keeper::Keeper;
use crate::clock::date;
use crate::model::{
    AccountInfo, Actor, CertificateReport, CertificateSource, CertificateState, DomainName,
    RevocationReason,
};
use crate::state::Reader;
use crate::tls::{CertStore, Certificate, Demands, Serving, Trust};

/// The default timeout of a wait.
const WAIT: Duration = Duration::from_mins(2);

/// Commands that wait for their turn.
const COMMANDS: usize = 64;

/// What to do about a certificate that no CA of ours has signed.
const REVOKE_ELSEWHERE: &str = "revoke it where it was issued, and replace the files";

/// Certificates that are loaded and published, and not kept yet.
pub(crate) struct Opened {
    keeper: Keeper,
    commands: mpsc::Receiver<Command>,
    demands: Demands,
}

/// How it stands with certificates, and commands on them. Cloned handles share it.
#[derive(Clone)]
pub(crate) struct Certificates {
    pub(super) shared: Arc<KeeperContext>,
    commands: mpsc::Sender<Command>,
}

impl Opened {
    /// Keeps certificates until nobody publishes states any more.
    pub(crate) async fn keep(self) {
        self.keeper.run(self.commands, self.demands).await;
    }
}

impl Certificates {
    /// Reads what is stored, publishes it to `store`, and makes ready what keeps it so. Blocks.
    pub(crate) fn open(
        settings: CertSettings,
        reader: Reader,
        store: (CertStore, Demands),
        serving: Serving,
        journal: Journal,
    ) -> (Self, Opened) {
        let (store, demands) = store;
        let shared = Arc::new(KeeperContext::new(settings, reader, store, serving));
        for ca in &shared.settings.cas {
            ca.restore();
        }
        let keeper = Keeper::open(Arc::clone(&shared), journal);
        let (sender, commands) = mpsc::channel(COMMANDS);
        (Self { shared, commands: sender }, Opened { keeper, commands, demands })
    }

    /// Has everything tried again that failed for a file of this machine: the config was read again.
    pub(crate) fn reloaded(&self) {
        self.shared.reloaded.notify_one();
    }

    /// Orders a certificate now.
    ///
    /// # Errors
    /// When nobody serves the name, no ACME CA is to sign it, or what is served is good and `force`
    /// is not set.
    pub(crate) async fn renew(
        &self,
        name: DomainName,
        force: bool,
    ) -> Result<CertificateReport, CertError> {
        let (report, _) = self.show(&name)?;
        if report.state == CertificateState::None {
            return Err(CertError::NoCertificate { name, hint: report.hint });
        }
        self.command(|reply| Command::Renew { name, force, reply }).await
    }

    /// Waits until no work for a name is running, and returns its report then; `step` is called with each step of
    /// the work.
    ///
    /// # Errors
    /// When nobody serves the name, or it takes too long.
    pub(crate) async fn wait(
        &self,
        name: &DomainName,
        timeout: Option<Duration>,
        step: impl Fn(String) + Send,
    ) -> Result<CertificateReport, CertError> {
        let timeout = timeout.unwrap_or(WAIT);
        let mut changed = self.shared.changed.subscribe();
        let last = parking_lot::Mutex::new(String::new());
        let waiting = async {
            loop {
                changed.mark_unchanged();
                let snapshot = self.shared.reader.load();
                let is_known = self.shared.store.has_caught_up(snapshot.revision());
                let (report, _) = self.show(name)?;
                let busy = report.step.is_some() || report.state == CertificateState::Pending;
                if is_known && !busy {
                    return Ok(report);
                }
                let now = report.step.unwrap_or_else(|| "waiting for its turn".to_owned());
                let is_new = {
                    let mut last = last.lock();
                    let is_new = *last != now;
                    last.clone_from(&now);
                    is_new
                };
                if is_new {
                    step(now);
                }
                changed.changed().await.map_err(|_| CertError::Stopping)?;
            }
        };
        if let Ok(ended) = tokio::time::timeout(timeout, waiting).await {
            return ended;
        }
        let step = last.lock().clone();
        Err(CertError::TimedOut { name: name.clone(), timeout, step })
    }

    /// Imports a certificate with its key, and serves it from now on.
    ///
    /// # Errors
    /// When nobody serves the name, its domain wants its certificate from elsewhere, or they can't be
    /// used.
    pub(crate) async fn import(
        &self,
        actor: Actor,
        name: DomainName,
        cert: &str,
        key: &str,
    ) -> Result<CertificateReport, CertError> {
        let snapshot = self.shared.reader.load();
        let node = snapshot.domain(&name).ok_or_else(|| self.unknown(&name))?;
        let wants = &node.virtual_host.top.tls;
        if *wants != crate::model::TlsMode::Auto {
            return Err(CertError::WantsOther { name, wants: wants.to_string() });
        }
        let certificate =
            Certificate::from_pem(cert.as_bytes(), key.as_bytes()).map_err(CertError::Unusable)?;
        if !certificate.covers(&name) {
            let names = certificate.facts().names.clone();
            return Err(CertError::OtherName { name, names });
        }
        if certificate.not_after() <= SystemTime::now() {
            return Err(CertError::RanOut { until: date(certificate.not_after()) });
        }
        let bundle = format!("{}\n{}", key.trim(), cert.trim_start());
        let served = Arc::new(self.shared.serving.serve(certificate, Trust::Public));
        self.command(|reply| Command::Import { actor, name, served, bundle, reply }).await
    }

    /// Asks the CA to revoke the served certificate of a name.
    ///
    /// # Errors
    /// When it is not of an ACME CA, or the CA refuses.
    pub(crate) async fn revoke(
        &self,
        actor: Actor,
        name: DomainName,
        reason: RevocationReason,
    ) -> Result<CertificateReport, CertError> {
        let name = self.name(name)?;
        let (served, url) = {
            let table = self.shared.table.read();
            let entry = table.get(&name);
            match entry.map(|entry| (&entry.served, &entry.directory_url)) {
                Some((Some((CertificateSource::Acme, served)), Some(url))) => {
                    (Arc::clone(served), url.clone())
                }
                Some((Some((source, _)), _)) => {
                    let (word, hint) = match source {
                        CertificateSource::Internal => (
                            "the server's own CA",
                            "`vhost ctl cert renew --force` makes a new one; the server's own CA revokes nothing",
                        ),
                        CertificateSource::Imported => ("an import", REVOKE_ELSEWHERE),
                        _ => ("files", REVOKE_ELSEWHERE),
                    };
                    return Err(CertError::NotAcme {
                        name,
                        source_word: word.to_owned(),
                        hint: hint.to_owned(),
                    });
                }
                _ => {
                    let hint = Some(format!("see `vhost ctl cert show {name}`"));
                    return Err(CertError::NoCertificate { name, hint });
                }
            }
        };
        let ca = self.shared.ca(&url).ok_or(CertError::NoCa)?;
        ca.revoke(served.certificate.leaf(), reason).await.map_err(|error| CertError::Refused {
            message: error.to_string(),
            hint: error.hint(),
        })?;
        let serial = served.certificate.facts().serial.clone();
        self.command(|reply| Command::Revoked { actor, name, serial, reason, reply }).await
    }

    /// The root certificate of our own CA, PEM, and its SHA-256.
    ///
    /// # Errors
    /// When it can't be read, or made.
    pub(crate) async fn authority(&self) -> Result<(String, String), CertError> {
        let shared = Arc::clone(&self.shared);
        let opened = tokio::task::spawn_blocking(move || shared.authority());
        let authority = opened.await.map_err(|_| CertError::Stopping)??;
        Ok((authority.pem().to_owned(), authority.root().facts().sha256.clone()))
    }

    /// The accounts at the CAs, in the order in which these are tried. One that is not there yet is
    /// made, where its CA can be reached.
    ///
    /// # Errors
    /// When no CA is configured.
    pub(crate) async fn accounts(&self) -> Result<Vec<AccountInfo>, CertError> {
        let cas = &self.shared.settings.cas;
        if cas.is_empty() {
            return Err(CertError::NoCa);
        }
        let mut accounts = Vec::new();
        for ca in cas {
            let account = match ca.register().await {
                Ok(account) => account,
                Err(error) => {
                    tracing::warn!(%error, directory_url = ca.directory_url(), "no account");
                    ca.account()
                }
            };
            accounts.push(account);
        }
        Ok(accounts)
    }

    async fn command(
        &self,
        command: impl FnOnce(Reply) -> Command,
    ) -> Result<CertificateReport, CertError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| CertError::Stopping)?;
        answer.await.map_err(|_| CertError::Stopping)?
    }
}
