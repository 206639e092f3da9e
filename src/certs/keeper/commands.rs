//! The keeper's commands.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::command::{Command, Reply};
use super::super::entry::{Entry, Work};
use super::super::error::CertError;
use super::super::job;
use super::super::plan::Plan;
use super::{Keeper, served_news};
use crate::acme::Meta;
use crate::clock::{date, millis};
use crate::model::{
    Actor, CertificateNews, CertificateReport, CertificateSource, DomainName, RevocationReason,
};
use crate::tls::Served;

/// The most certificates for one name within [`WEEK`], while the previous one was valid.
const MAX_PER_WEEK: usize = 4;
const WEEK: Duration = Duration::from_hours(7 * 24);

impl Keeper {
    pub(super) async fn run_command(&mut self, command: Command) {
        match command {
            Command::Renew { name, force, reply } => {
                // The client may be gone; the command is completed all the same.
                let _ = reply.send(self.renew(&name, force));
            }
            Command::Import { actor, name, served, bundle, reply } => {
                self.import(actor, name, served, bundle, reply).await;
            }
            Command::Revoked { actor, name, serial, reason, reply } => {
                let again = reason == RevocationReason::KeyCompromise;
                if again {
                    self.set_aside(&name).await;
                }
                let report = self.edit(&name, |entry| {
                    entry.meta.window_ms = None;
                    entry.meta.renew_ms = Some(0);
                    if again {
                        // A revoked key must not be used again.
                        entry.served = None;
                    }
                    entry.work = Work::Rest(Some(SystemTime::now()));
                });
                let reason = reason.to_string();
                tracing::warn!(%name, serial, reason, "certificate was revoked");
                self.tell(actor, &name, CertificateNews::Revoked { serial, reason }).await;
                let _ = reply.send(report.ok_or(CertError::UnknownName { name, near: None }));
            }
        }
    }

    /// Moves the stored files of a name aside, so that no start finds them.
    async fn set_aside(&self, name: &DomainName) {
        let url = self.shared.table.read().get(name).and_then(|e| e.directory_url.clone());
        let Some(url) = url else { return };
        let own = name.clone();
        let aside = self.shared.on_disk(move |storage| storage.of_ca(&url).set_aside(&own));
        if let Err(error) = aside.await {
            tracing::error!(%name, %error, "cannot move a revoked certificate out of use");
        }
    }

    pub(super) fn renew(
        &mut self,
        name: &DomainName,
        force: bool,
    ) -> Result<CertificateReport, CertError> {
        let now = SystemTime::now();
        let unknown = || CertError::UnknownName { name: name.clone(), near: None };
        let (plan, served, renewal, issued, running, on_demand) = {
            let mut table = self.shared.table.write();
            let entry = table.get_mut(name).ok_or_else(unknown)?;
            let renewal = match &entry.served {
                Some((_, served)) => job::renewal(&mut entry.meta, &served.certificate),
                None => now,
            };
            let week = now.checked_sub(WEEK).map_or(0, millis);
            let issued = entry.meta.issued_ms.iter().filter(|at| **at >= week).count();
            let running = matches!(entry.work, Work::Queued | Work::Running(_));
            let (plan, served) = (entry.plan.clone(), entry.served.clone());
            (plan, served, renewal, issued, running, entry.on_demand)
        };
        let is_imported = matches!(served, Some((CertificateSource::Imported, _)));
        match &plan {
            Plan::Internal { .. } if !is_imported => {
                if let (Some((_, served)), false) = (&served, force) {
                    let until = date(served.certificate.not_after());
                    return Err(CertError::StillGood { name: name.clone(), until });
                }
                self.start(name, now);
                return self.edit(name, |_| {}).ok_or_else(unknown);
            }
            Plan::Acme => {}
            Plan::OnDemand if on_demand => {}
            Plan::Blocked { error, hint } => {
                return Err(CertError::Refused { message: error.clone(), hint: hint.clone() });
            }
            Plan::OnDemand | Plan::Internal { .. } | Plan::Files { .. } | Plan::Nowhere { .. } => {
                return Err(CertError::NotAcme {
                    name: name.clone(),
                    source_word: if is_imported { "an import" } else { "files" }.to_owned(),
                    hint: "replace the files; they are read again automatically".into(),
                });
            }
        }
        let good = served.as_ref().filter(|(_, served)| served.certificate.not_after() > now);
        if let (Some((_, served)), false) = (good, force)
            && (renewal > now || is_imported)
        {
            let until = date(served.certificate.not_after());
            return Err(CertError::StillGood { name: name.clone(), until });
        }
        if issued >= MAX_PER_WEEK && good.is_some() && !force {
            return Err(CertError::TooOften { name: name.clone(), count: issued });
        }
        if !running {
            // Earlier failures don't delay a command.
            self.edit(name, |entry| {
                entry.meta.attempts = 0;
                entry.work = Work::Rest(None);
            });
            self.queue(name, served.is_none());
            self.start_orders(now);
        }
        self.edit(name, |_| {}).ok_or_else(unknown)
    }

    pub(super) async fn import(
        &mut self,
        actor: Actor,
        name: DomainName,
        served: Arc<Served>,
        bundle: String,
        reply: Reply,
    ) {
        let own = name.clone();
        let saved = self
            .shared
            .on_disk(move |storage| storage.imported().save(&own, &bundle, &Meta::default()));
        if let Err(error) = saved.await {
            let _ = reply.send(Err(error.into()));
            return;
        }
        let renewed =
            self.shared.table.read().get(&name).is_some_and(|entry| entry.served.is_some());
        if !self.shared.table.read().contains_key(&name) {
            let Some(node) = self.followed.domain(&name) else {
                let _ = reply.send(Err(CertError::UnknownName { name, near: None }));
                return;
            };
            let plan = self.shared.plan(&name, &node.virtual_host.top.tls);
            let entry = Entry::new(node.virtual_host.domain.clone(), plan);
            self.put(&name, entry);
        }
        let report = self.edit(&name, |entry| {
            entry.served = Some((CertificateSource::Imported, Arc::clone(&served)));
            entry.work = Work::Rest(None);
            entry.trouble = None;
        });
        let serial = &served.certificate.facts().serial;
        tracing::info!(%name, serial, "certificate was imported");
        let news = served_news(&served, CertificateSource::Imported, renewed);
        self.tell(actor, &name, news).await;
        let _ = reply.send(report.ok_or(CertError::UnknownName { name, near: None }));
    }
}
