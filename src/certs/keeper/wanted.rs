//! Follows the state: which names need a certificate, and from where.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::entry::{Entry, EntryError, Work};
use super::super::error::CertError;
use super::super::files::FilePairState;
use super::super::job;
use super::super::plan::Plan;
use super::super::stored::StoredCertificates;
use super::{Keeper, look_again};
use crate::acme::schedule;
use crate::clock::time;
use crate::config::CertificateFiles;
use crate::model::{CertificateSource, DomainName, Pattern, TlsMode, VirtualHost, with_causes};
use crate::tls::{Slot, Trust};

/// The most names that get a certificate of our own CA at once when they are added together. Beyond
/// that they get theirs on request.
const MAX_MADE_AT_ONCE: usize = 100;

impl Keeper {
    /// Applies the current state: names that were added or removed, or get their certificate from
    /// elsewhere now. Stored certificates are passed in, or read as needed.
    pub(super) fn follow(&mut self, stored: Option<&StoredCertificates>) {
        let snapshot = self.shared.reader.load();
        let before = std::mem::replace(&mut self.followed, Arc::clone(&snapshot));
        let mut gone: BTreeSet<DomainName> = BTreeSet::new();
        // Domains that were removed, or whose certificate options have changed.
        let mut left: BTreeSet<&DomainName> = BTreeSet::new();
        // A switch does not affect certificates.
        let differing = || {
            let all = snapshot.domains_changed_since(&before);
            all.filter(|(was, now)| was.zip(*now).is_none_or(|(was, now)| wants_other(was, now)))
        };
        for (was, now) in differing() {
            let Some(was) = was else { continue };
            gone.extend(was.names().cloned());
            if now.is_none_or(|now| now.top.tls != was.top.tls) {
                left.insert(&was.domain);
            }
        }
        if !left.is_empty() {
            // Names on demand are removed with their domain.
            let table = self.shared.table.read();
            let below = table.iter().filter(|(_, e)| e.on_demand && left.contains(&e.domain));
            let below: Vec<_> = below.map(|(name, _)| name.clone()).collect();
            gone.extend(below);
        }
        let mut changes: Vec<(DomainName, Option<Slot>)> = Vec::new();
        let mut made = 0;
        for (_, now) in differing() {
            let Some(now) = now else { continue };
            for name in now.names() {
                let was_there = gone.remove(name);
                let slot = self.want(name, now.domain.clone(), &now.top.tls, stored, &mut made);
                // Names without a certificate take no entry: there may be a hundred thousand.
                if was_there || slot.is_some() {
                    changes.push((name.clone(), slot));
                }
            }
        }
        for name in gone {
            self.forget(&name);
            changes.push((name, None));
        }
        if let Some(stored) = stored {
            changes.extend(self.restore_demanded(stored));
        }
        if !changes.is_empty() && !self.files.is_empty() {
            let table = self.shared.table.read();
            let default = self.shared.settings.default_certificate.as_ref();
            self.files.keep(|cert, key| {
                default.is_some_and(|files| files.cert == cert && files.key == key)
                    || table.values().any(|entry| {
                        matches!(&entry.plan, Plan::Files { cert: c, key: k } if c == cert && k == key)
                    })
            });
        }
        self.shared.store.publish(&changes);
        self.shared.store.catch_up(snapshot.revision());
        self.shared.changed.send_replace(());
    }

    /// Handles a served name. Returns its slot for handshakes, if any.
    pub(super) fn want(
        &mut self,
        name: &DomainName,
        domain: DomainName,
        tls: &TlsMode,
        stored: Option<&StoredCertificates>,
        made: &mut usize,
    ) -> Option<Slot> {
        let plan = self.shared.plan(name, tls);
        if let Some(entry) = self.shared.table.write().get_mut(name)
            && entry.plan == plan
            && !entry.on_demand
        {
            entry.domain = domain;
            return Some(entry.slot());
        }
        self.forget(name);
        let own;
        let stored = if let Some(stored) = stored {
            stored
        } else {
            own = StoredCertificates::of(&self.shared, name);
            &own
        };
        let mut entry = Entry::new(domain, plan);
        if *tls == TlsMode::Auto
            && let Some(served) = stored.imported.get(name)
        {
            entry.served = Some((CertificateSource::Imported, Arc::clone(served)));
            entry.work = Work::Rest(None);
            return Some(self.put(name, entry));
        }
        match entry.plan.clone() {
            Plan::Nowhere { .. } => return None,
            Plan::OnDemand => {}
            Plan::Blocked { error, hint } => {
                tracing::warn!(%name, error, "no certificate can be ordered");
                entry.trouble = Some(EntryError { text: error, hint, blocks: true });
            }
            // Clients refuse such a wildcard: each name below it gets its own on request.
            Plan::Internal { .. } if is_below_top(name) => {}
            Plan::Internal { .. } => {
                *made += 1;
                if *made <= MAX_MADE_AT_ONCE {
                    self.make(name, &mut entry);
                }
            }
            Plan::Files { cert, key } => {
                let files = CertificateFiles { cert, key };
                entry.take_file(name, self.files.open(&files, &self.shared.serving));
                if let Some(trouble) = &entry.trouble {
                    tracing::error!(%name, error = trouble.text, "certificate files can't be used");
                }
            }
            Plan::Acme => Self::take_shelved(name, &mut entry, stored),
        }
        Some(self.put(name, entry))
    }

    /// Resumes the state of an ACME certificate.
    pub(super) fn take_shelved(name: &DomainName, entry: &mut Entry, stored: &StoredCertificates) {
        let now = SystemTime::now();
        let mut next = now;
        if let Some(shelved) = stored.acme.get(name) {
            entry.meta = shelved.meta.clone();
            entry.directory_url = Some(shelved.directory_url.clone());
            if let Some(served) = &shelved.served {
                entry.served = Some((CertificateSource::Acme, Arc::clone(served)));
                next = job::renewal(&mut entry.meta, &served.certificate);
                next = next.min(now + look_again());
                if shelved.directory_url.is_empty() {
                    entry.directory_url = None;
                    next = now;
                }
            }
            if let (Some(error), Some(at)) = (&entry.meta.last_error, entry.meta.next_ms) {
                // A restart must not shorten a wait.
                entry.trouble = Some(EntryError { text: error.clone(), hint: None, blocks: false });
                next = time(at).min(now + Duration::from_hours(24));
            }
        }
        entry.work = Work::Rest(Some(next));
    }

    /// Names on demand that still have their certificate.
    pub(super) fn restore_demanded(
        &mut self,
        stored: &StoredCertificates,
    ) -> Vec<(DomainName, Option<Slot>)> {
        let Some(default) = self.default_domain() else { return Vec::new() };
        let mut changes = Vec::new();
        for name in stored.acme.keys() {
            let host = name.to_string();
            let is_known = self.shared.table.read().contains_key(name);
            let routed = self.followed.route(&host).map(|node| &node.virtual_host.domain);
            if is_known || routed != Some(&default) {
                continue;
            }
            let mut entry = Entry::new(default.clone(), Plan::OnDemand);
            entry.on_demand = true;
            Self::take_shelved(name, &mut entry, stored);
            if entry.served.is_some() {
                let slot = self.put(name, entry);
                changes.push((name.clone(), Some(slot)));
            }
        }
        changes
    }

    /// The domain `*`, where certificates are ordered on demand for it.
    pub(super) fn default_domain(&self) -> Option<DomainName> {
        let domain: DomainName = "*".parse().ok()?;
        let node = self.followed.domain(&domain)?;
        let on_demand = self.shared.settings.on_demand.is_some();
        (on_demand && node.virtual_host.top.tls == TlsMode::Auto)
            .then(|| node.virtual_host.domain.clone())
    }

    /// Makes a certificate of our own CA.
    pub(super) fn make(&self, name: &DomainName, entry: &mut Entry) {
        let Plan::Internal { asked } = entry.plan else { return };
        let made = self.shared.authority().and_then(|authority| authority.issue(name));
        match made {
            Ok(certificate) => {
                let trust = if asked { Trust::Public } else { Trust::Private };
                let left = schedule::renew_at(
                    certificate.not_before(),
                    certificate.not_after(),
                    None,
                    fastrand::f64(),
                );
                let served = Arc::new(self.shared.serving.serve(certificate, trust));
                entry.served = Some((CertificateSource::Internal, served));
                entry.work = Work::Rest(Some(left));
                entry.trouble = None;
            }
            Err(error) => {
                let text = with_causes(&CertError::from(error));
                tracing::error!(%name, error = text, "no certificate can be made");
                entry.trouble = Some(EntryError { text, hint: None, blocks: false });
                entry.work = Work::Rest(Some(SystemTime::now() + Duration::from_mins(1)));
            }
        }
    }

    pub(super) fn open_default(&mut self) {
        let Some(files) = self.shared.settings.default_certificate.clone() else { return };
        let FilePairState { good, error } = self.files.open(&files, &self.shared.serving);
        if let Some(error) = &error {
            tracing::error!(error, "the default certificate can't be used");
        }
        *self.shared.default_error.write() = error;
        self.shared.store.publish_default(good.as_ref());
    }
}

/// Whether it is a wildcard directly below a top-level name, such as `*.localhost`. OpenSSL and
/// browsers refuse those, but accept others for all names one label below.
pub(super) fn is_below_top(name: &DomainName) -> bool {
    matches!(name.pattern(), Pattern::Wildcard(base) if !base.contains('.'))
}

/// Whether the certificate options of a virtual host have changed.
fn wants_other(was: &VirtualHost, now: &VirtualHost) -> bool {
    was.top.tls != now.top.tls || was.top.aliases != now.top.aliases
}
