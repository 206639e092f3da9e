//! How it stands with certificates: what commands show and monitoring reads.

use std::time::SystemTime;

use super::alarm;
use super::entry::{Entry, Work};
use super::error::CertError;
use super::handle::Certificates;
use super::plan::Plan;
use crate::model::{
    AcmeDetail, Attempt, CertificateReport, CertificateState, DomainName, VirtualHost, nearest,
};

impl Certificates {
    /// How it stands with the names of these domains.
    pub(crate) fn of_domains<'a>(
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
    pub(crate) fn not_after(&self) -> Vec<(DomainName, DomainName, u64)> {
        let table = self.shared.table.read();
        let declared = table.iter().filter(|(_, entry)| !entry.on_demand);
        let served = declared.filter_map(|(name, entry)| {
            let (_, served) = entry.served.as_ref()?;
            Some((name.clone(), entry.domain.clone(), served.certificate.facts().not_after_ms))
        });
        served.collect()
    }

    /// Problems that need attention.
    pub(crate) fn warnings(&self) -> Vec<String> {
        const MAX_WARNINGS: usize = 20;
        let now = SystemTime::now();
        let table = self.shared.table.read();
        let mut all = table
            .iter()
            .filter_map(|(name, entry)| alarm::warning(entry, &entry.report(name, now), now));
        let mut warnings: Vec<_> = all.by_ref().take(MAX_WARNINGS).collect();
        let more = all.count();
        if more > 0 {
            warnings.push(format!("{more} more names have a certificate that needs attention"));
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
    pub(crate) fn show(
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

    /// A name that somebody serves, or has a certificate.
    pub(super) fn name(&self, name: DomainName) -> Result<DomainName, CertError> {
        let is_known = self.shared.table.read().contains_key(&name)
            || self.shared.reader.load().domain(&name).is_some();
        if is_known { Ok(name) } else { Err(self.unknown(&name)) }
    }

    pub(super) fn unknown(&self, name: &DomainName) -> CertError {
        let text = name.to_string();
        let table = self.shared.table.read();
        let near = nearest(&text, table.keys().map(ToString::to_string));
        let near = near.and_then(|near| near.parse().ok());
        CertError::UnknownName { name: name.clone(), near }
    }

    /// A name that no certificate is to come for.
    fn nowhere(&self, name: &DomainName, domain: &VirtualHost) -> CertificateReport {
        let plan = self.shared.plan(name, &domain.top.tls);
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
