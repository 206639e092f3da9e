//! The outcomes of jobs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::entry::{EntryError, Work};
use super::super::job;
use super::super::job::{JobOutcome, Obtained};
use super::{Keeper, look_again, served_news};
use crate::acme::{AcmeError, ErrorKind, RenewalWindow, schedule};
use crate::clock::millis;
use crate::model::{Actor, Attempt, CertificateNews, CertificateSource, DomainName};

impl Keeper {
    pub(super) async fn ended(&mut self, name: &DomainName, ended: JobOutcome) {
        match ended {
            JobOutcome::Window(window) => self.take_window(name, window).await,
            JobOutcome::Obtained(obtained) => {
                self.ordering -= 1;
                self.obtained(name, *obtained).await;
            }
            JobOutcome::Failed { directory_url, failure, log } => {
                self.ordering -= 1;
                self.failed(name, directory_url, failure, log).await;
            }
            JobOutcome::NoCa => {
                self.ordering -= 1;
                self.denied(name, "no CA is configured");
            }
            JobOutcome::Allowed => {
                self.asking -= 1;
                self.allowed(name);
            }
            JobOutcome::Denied(why) => {
                self.asking -= 1;
                self.denied(name, &why);
            }
        }
    }

    pub(super) async fn obtained(&mut self, name: &DomainName, obtained: Obtained) {
        let Obtained { served, mut meta, directory_url } = obtained;
        // If the name is gone by now, or has got another certificate in between, this one stays on
        // disk.
        let before = match self.shared.table.read().get(name) {
            Some(entry) if matches!(entry.work, Work::Running(_)) => {
                entry.served.as_ref().map(|(source, _)| *source)
            }
            _ => return,
        };
        if before == Some(CertificateSource::Imported) {
            // Otherwise it would be back after the next start.
            let own = name.clone();
            let removed = self.shared.on_disk(move |storage| storage.imported().remove(&own));
            if let Err(error) = removed.await {
                tracing::error!(%name, %error, "cannot remove the imported certificate");
            }
        }
        let next = job::renewal(&mut meta, &served.certificate);
        let next = next.min(SystemTime::now() + look_again());
        self.tell(
            Actor::Certificates,
            name,
            served_news(&served, CertificateSource::Acme, before.is_some()),
        )
        .await;
        self.edit(name, |entry| {
            entry.served = Some((CertificateSource::Acme, Arc::clone(&served)));
            entry.directory_url = Some(directory_url);
            entry.meta = meta;
            entry.trouble = None;
            entry.failed_challenge = None;
            entry.work = Work::Rest(Some(next));
        });
        let facts = served.certificate.facts();
        tracing::info!(%name, issuer = facts.issuer, serial = facts.serial, "certificate is served");
        self.save_meta(name).await;
    }

    pub(super) async fn failed(
        &mut self,
        name: &DomainName,
        directory_url: String,
        failure: AcmeError,
        log: Vec<Attempt>,
    ) {
        let now = SystemTime::now();
        let (kind, text, is_local) = (failure.kind(), failure.to_string(), failure.is_local);
        let Some((attempt, not_after)) = self.shared.table.read().get(name).map(|entry| {
            let served = entry.served.as_ref();
            (entry.meta.attempts + 1, served.map(|(_, served)| served.certificate.not_after()))
        }) else {
            return;
        };
        let next =
            schedule::retry_at(now, attempt, kind, failure.retry_after, not_after, fastrand::f64());
        let blocks = kind == ErrorKind::Blocked;
        let next_ms = (!blocks).then(|| millis(next));
        self.tell(
            Actor::Certificates,
            name,
            CertificateNews::Failed { error: text.clone(), attempt, next_ms },
        )
        .await;
        let retry_in_ms = next.duration_since(now).unwrap_or_default().as_millis();
        tracing::warn!(%name, directory_url, attempt, retry_in_ms, error = text, "no certificate");
        if let (ErrorKind::RateLimited { whole_account: true }, Some(index)) = (
            kind,
            self.shared.settings.cas.iter().position(|ca| ca.directory_url() == directory_url),
        ) {
            self.paused.insert(index, next);
        }
        self.edit(name, |entry| {
            entry.meta.attempts = attempt;
            // A local failure is not stored: a restart tries again at once.
            entry.meta.next_ms = (!is_local).then(|| millis(next));
            entry.meta.last_error = Some(text.clone());
            if !log.is_empty() {
                entry.meta.log = log;
            }
            entry.trouble = Some(EntryError { text, hint: failure.hint(), blocks });
            entry.failed_challenge = failure.challenge().or(entry.failed_challenge);
            entry.failed_locally = is_local;
            if !directory_url.is_empty() {
                entry.directory_url.get_or_insert(directory_url);
            }
            entry.work = Work::Rest(Some(next));
        });
        self.save_meta(name).await;
    }

    pub(super) fn denied(&mut self, name: &DomainName, why: &str) {
        tracing::info!(%name, reason = why, "certificate on demand denied");
        let served = self.shared.table.read().get(name).is_some_and(|entry| entry.served.is_some());
        if served {
            // The current certificate is served until it expires.
            self.edit(name, |entry| {
                entry.trouble = Some(EntryError { text: why.to_owned(), hint: None, blocks: true });
                entry.work = Work::Rest(Some(SystemTime::now() + Duration::from_hours(1)));
            });
            return;
        }
        self.forget(name);
        self.deny(name);
        self.shared.changed.send_replace(());
    }

    pub(super) async fn take_window(&mut self, name: &DomainName, window: Option<RenewalWindow>) {
        let now = SystemTime::now();
        let again = window.as_ref().map_or_else(look_again, |window| window.look_again);
        self.edit(name, |entry| {
            job::take_window(&mut entry.meta, window);
            let renewal = match &entry.served {
                Some((_, served)) => job::renewal(&mut entry.meta, &served.certificate),
                None => now,
            };
            entry.work = Work::Rest(Some(renewal.min(now + again)));
        });
        self.save_meta(name).await;
    }

    /// Stores the metadata of an ACME certificate beside it.
    pub(super) async fn save_meta(&self, name: &DomainName) {
        let found = self
            .shared
            .table
            .read()
            .get(name)
            .and_then(|entry| Some((entry.directory_url.clone()?, entry.meta.clone())));
        let Some((url, meta)) = found else { return };
        let own = name.clone();
        let saved = self.shared.on_disk(move |storage| storage.of_ca(&url).save_meta(&own, &meta));
        if let Err(error) = saved.await {
            tracing::error!(%name, %error, "cannot save the state of a certificate");
        }
    }

    /// Adds to the history.
    pub(super) async fn tell(&self, actor: Actor, name: &DomainName, news: CertificateNews) {
        (self.journal)(actor, name.clone(), news).await;
    }
}
