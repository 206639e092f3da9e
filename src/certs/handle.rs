//! The handle on the keeper: what commands and the socket see of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};

use super::alarm;
use super::command::{Command, Reply};
use super::entry::{Entry, Work};
use super::error::CertError;
use super::keeper::{Keeper, date};
use super::plan::{Plan, plan};
use super::shared::{CertSettings, Journal, Shared};
use crate::model::{
    AccountInfo, AcmeDetail, Actor, Attempt, CertificateReport, CertificateSource,
    CertificateState, DomainName, RevocationReason, VirtualHost, nearest,
};
use crate::state::Reader;
use crate::tls::{CertStore, Certificate, Demands, Serving, Trust};

/// How long a wait is when nobody says.
const WAIT: Duration = Duration::from_mins(2);

/// Commands that wait for their turn.
const COMMANDS: usize = 64;

/// What to do about a certificate that no CA of ours has signed.
const REVOKE_ELSEWHERE: &str = "revoke it where it was made, and put another in its place";

/// Certificates that are loaded and published, and not kept yet.
pub struct Opened {
    keeper: Keeper,
    commands: mpsc::Receiver<Command>,
    demands: Demands,
}

/// How it stands with certificates, and commands on them. Cloned handles share it.
#[derive(Clone)]
pub struct Certificates {
    pub(super) shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Opened {
    /// Keeps certificates until nobody publishes states any more.
    pub async fn keep(self) {
        self.keeper.run(self.commands, self.demands).await;
    }
}

impl Certificates {
    /// Reads what is stored, publishes it to `store`, and makes ready what keeps it so. Blocks.
    pub fn open(
        settings: CertSettings,
        reader: Reader,
        store: (CertStore, Demands),
        serving: Serving,
        journal: Journal,
    ) -> (Self, Opened) {
        let (store, demands) = store;
        let shared = Arc::new(Shared::new(settings, reader, store, serving));
        for ca in &shared.settings.cas {
            ca.restore();
        }
        let keeper = Keeper::open(Arc::clone(&shared), journal);
        let (sender, commands) = mpsc::channel(COMMANDS);
        (Self { shared, commands: sender }, Opened { keeper, commands, demands })
    }

    /// Has everything tried again that failed for a file of this machine: the config was read again.
    pub fn reloaded(&self) {
        self.shared.reloaded.notify_one();
    }

    /// How it stands with the names of these domains.
    pub fn of_domains<'a>(
        &self,
        domains: impl Iterator<Item = &'a VirtualHost>,
    ) -> Vec<CertificateReport> {
        let table = self.shared.table.read();
        let now = SystemTime::now();
        let mut reports = Vec::new();
        for domain in domains {
            for name in domain.names() {
                reports.push(match table.get(name) {
                    Some(entry) => entry.report(name, now),
                    None => self.nowhere(name, domain),
                });
            }
        }
        // What clients asked for stands behind the domain `*`.
        let demanded = table.iter().filter(|(_, entry)| entry.on_demand);
        let demanded =
            demanded.filter(|(_, entry)| reports.iter().any(|report| report.name == entry.domain));
        let demanded: Vec<_> = demanded.map(|(name, entry)| entry.report(name, now)).collect();
        reports.extend(demanded);
        reports
    }

    /// Until when the certificates are valid that are served for declared names: the name, the domain
    /// that it belongs to, and the time in milliseconds since the Unix epoch.
    pub fn not_after(&self) -> Vec<(DomainName, DomainName, u64)> {
        let table = self.shared.table.read();
        let declared = table.iter().filter(|(_, entry)| !entry.on_demand);
        let served = declared.filter_map(|(name, entry)| {
            let (_, served) = entry.served.as_ref()?;
            Some((name.clone(), entry.domain.clone(), served.certificate.facts().not_after_ms))
        });
        served.collect()
    }

    /// What needs a person.
    pub fn warnings(&self) -> Vec<String> {
        const MOST: usize = 20;
        let now = SystemTime::now();
        let table = self.shared.table.read();
        let mut told = table
            .iter()
            .filter_map(|(name, entry)| alarm::warning(entry, &entry.report(name, now), now));
        let mut warnings: Vec<_> = told.by_ref().take(MOST).collect();
        let more = told.count();
        if more > 0 {
            warnings.push(format!("and {more} more names whose certificate needs a person"));
        }
        let default_error = self.shared.default_error.read();
        if let Some(error) = &*default_error {
            warnings.push(format!("the default certificate's files can't be used: {error}"));
        }
        warnings
    }

    /// How it stands with a name, and what is known of its ACME certificate.
    ///
    /// # Errors
    /// When nobody serves the name.
    pub fn show(
        &self,
        name: &DomainName,
    ) -> Result<(CertificateReport, Option<AcmeDetail>), CertError> {
        let table = self.shared.table.read();
        let Some(entry) = table.get(name) else {
            let snapshot = self.shared.reader.load();
            let node = snapshot.domain(name).ok_or_else(|| self.unknown(name))?;
            return Ok((self.nowhere(name, &node.virtual_host), None));
        };
        let meta = &entry.meta;
        let acme = entry.directory_url.as_ref().map(|url| AcmeDetail {
            directory_url: self.shared.shown_url(url),
            account: meta.account.clone(),
            challenge: meta.challenge.map(|challenge| challenge.to_string()),
            window_ms: meta.window_ms,
            explanation_url: meta.explanation_url.clone(),
            log: {
                let shown = |attempt: &Attempt| Attempt {
                    directory_url: self.shared.shown_url(&attempt.directory_url),
                    ..attempt.clone()
                };
                meta.log.iter().map(shown).collect()
            },
        });
        Ok((entry.report(name, SystemTime::now()), acme))
    }

    /// Orders a certificate now.
    ///
    /// # Errors
    /// When nobody serves the name, no ACME CA is to sign it, or what is served is good and `force`
    /// is not set.
    pub async fn renew(
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

    /// Waits until nothing is being done for a name, and tells how it stands then; `step` is told what
    /// is being done.
    ///
    /// # Errors
    /// When nobody serves the name, or it takes too long.
    pub async fn wait(
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

    /// Takes in a certificate and its key, and serves them from now on.
    ///
    /// # Errors
    /// When nobody serves the name, its domain wants its certificate from elsewhere, or they can't be
    /// used.
    pub async fn import(
        &self,
        actor: Actor,
        name: DomainName,
        cert: &str,
        key: &str,
    ) -> Result<CertificateReport, CertError> {
        let snapshot = self.shared.reader.load();
        let node = snapshot.domain(&name).ok_or_else(|| self.unknown(&name))?;
        let wants = &node.virtual_host.tls;
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

    /// Has the CA revoke the certificate that is served for a name.
    ///
    /// # Errors
    /// When it is not of an ACME CA, or the CA refuses.
    pub async fn revoke(
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
                            "`vhost ctl cert renew --force` makes another; the server's own CA \
                             revokes nothing",
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
                    let hint = Some(format!("`vhost ctl cert show {name}` says how it stands"));
                    return Err(CertError::NoCertificate { name, hint });
                }
            }
        };
        let ca = self.shared.settings.cas.iter().find(|ca| ca.directory_url() == url);
        let ca = ca.ok_or(CertError::NoCa)?;
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
    pub async fn authority(&self) -> Result<(String, String), CertError> {
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
    pub async fn accounts(&self) -> Result<Vec<AccountInfo>, CertError> {
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

    /// A name that somebody serves, or has a certificate.
    pub(super) fn name(&self, name: DomainName) -> Result<DomainName, CertError> {
        let is_known = self.shared.table.read().contains_key(&name)
            || self.shared.reader.load().domain(&name).is_some();
        if is_known { Ok(name) } else { Err(self.unknown(&name)) }
    }

    fn unknown(&self, name: &DomainName) -> CertError {
        let text = name.to_string();
        let table = self.shared.table.read();
        let near = nearest(&text, table.keys().map(ToString::to_string));
        let near = near.and_then(|near| near.parse().ok());
        CertError::UnknownName { name: name.clone(), near }
    }

    /// A name that no certificate is to come for.
    fn nowhere(&self, name: &DomainName, domain: &VirtualHost) -> CertificateReport {
        let settings = &self.shared.settings;
        let plan = plan(name, &domain.tls, &settings.cas, settings.on_demand.is_some());
        let hint = match &plan {
            Plan::Nowhere { hint } => Some((*hint).to_owned()),
            _ => None,
        };
        let mut entry = Entry::new(domain.domain.clone(), plan);
        entry.work = Work::Rest(None);
        let mut report = entry.report(name, SystemTime::now());
        if hint.is_some() {
            report.state = CertificateState::None;
        }
        report.hint = hint;
        report
    }
}
