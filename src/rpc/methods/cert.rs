//! Methods on certificates.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Confirmed, Listed, NoParams, Page, PageParams};
use crate::clock::{date, time};
use crate::model::{
    AccountInfo, AcmeDetail, CertificateReport, CertificateSource, DomainName, RevocationReason,
    nonzero_millis,
};
use crate::rpc::dispatch::{Call, Dispatch, to_its_end};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// The certificates of all names, with their state, page by page.
    List, "cert.list", PageParams<DomainName> => Page<CertificateReport>;
    /// The certificate of one name, with its state and the last attempts to get it.
    Show, "cert.show", NameParams => CertificateDetail, faults [NotFound];
    /// Orders a certificate now, and answers when the order has begun; `cert.wait` waits for its end.
    Renew, "cert.renew", RenewParams => Confirmed<CertificateReport>, faults [NotFound, Conflict];
    /// Waits until no order for a name is running: its certificate is valid, or the last attempt failed.
    Wait, "cert.wait", WaitParams => CertificateReport, progress WaitProgress,
        faults [NotFound, Timeout];
    /// Imports a certificate with its key, and serves it from now on.
    Import, "cert.import", ImportParams => Confirmed<CertificateReport>, faults [NotFound, Conflict];
    /// The served certificate of a name with its chain, and with its key if requested.
    Export, "cert.export", ExportParams => Exported, faults [NotFound];
    /// Asks the CA to revoke the served certificate of a name.
    Revoke, "cert.revoke", RevokeParams => Confirmed<CertificateReport>, faults [NotFound, Conflict];
    /// The root certificate of the server's own CA.
    Ca, "cert.ca", NoParams => Authority;
    /// The accounts at the ACME CAs, with their DNS records.
    Account, "cert.account", NoParams => AccountList, faults [Conflict];
}

impl Listed for CertificateReport {
    const MEMBER: &'static str = "certificates";
    const PAGE_NAME: &'static str = "CertificateList";
    type Key = DomainName;
}

/// Names one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameParams {
    /// A domain, or an alias of one.
    pub name: DomainName,
}

/// The answer of `cert.show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CertificateDetail {
    /// What `cert.list` shows.
    #[serde(flatten)]
    pub report: CertificateReport,
    /// The account, the challenge and the attempts of an ACME certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeDetail>,
}

/// What `cert.renew` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewParams {
    /// A domain, or an alias of one.
    pub name: DomainName,
    /// Order even if the served certificate is not due for renewal, or others were ordered recently.
    #[serde(default)]
    pub force: bool,
}

/// What `cert.wait` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitParams {
    /// A domain, or an alias of one.
    pub name: DomainName,
    /// How long to wait. The default is two minutes.
    #[serde(default, deserialize_with = "nonzero_millis")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
}

/// The progress of `cert.wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CertificateWaitProgress")]
pub(crate) struct WaitProgress {
    /// The current step.
    pub step: String,
}

/// What `cert.import` takes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportParams {
    /// A domain, or an alias of one, that the certificate is for.
    pub name: DomainName,
    /// The certificate with its chain, PEM.
    pub cert: String,
    /// Its private key, PEM.
    pub key: String,
}

impl std::fmt::Debug for ImportParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportParams").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What `cert.export` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportParams {
    /// A domain, or an alias of one.
    pub name: DomainName,
    /// With the private key.
    #[serde(default)]
    pub key: bool,
}

/// The answer of `cert.export`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Exported {
    /// The certificate with its chain, PEM.
    pub cert: String,
    /// Its private key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").field("cert", &self.cert).finish_non_exhaustive()
    }
}

/// What `cert.revoke` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeParams {
    /// A domain, or an alias of one.
    pub name: DomainName,
    /// The reason (RFC 5280 §5.3.1). The default is `unspecified`. After `key-compromise` a certificate with
    /// a new key is ordered at once.
    #[serde(default)]
    pub reason: RevocationReason,
}

/// The answer of `cert.ca`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Authority {
    /// The root certificate, PEM, for trust stores.
    pub cert: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// The answer of `cert.account`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccountList {
    /// One for each configured CA, in the order in which they are tried.
    pub accounts: Vec<AccountInfo>,
}

impl Run for List {
    async fn run(server: &Dispatch, params: PageParams<DomainName>, _: &Call) -> Answered<Self> {
        let snapshot = server.control.snapshot();
        let domains = snapshot.domains_after(params.after.as_ref()).map(|node| &node.virtual_host);
        let (page, next) = params.take(domains, |virtual_host| virtual_host.domain.clone());
        let entries = server.certificates.of_domains(page.into_iter());
        Ok(Page { revision: snapshot.revision(), entries, next })
    }
}

impl Run for Show {
    async fn run(server: &Dispatch, NameParams { name }: NameParams, _: &Call) -> Answered<Self> {
        let (report, acme) = server.certificates.show(&name)?;
        Ok(CertificateDetail { report, acme })
    }
}

impl Run for Renew {
    async fn run(server: &Dispatch, params: RenewParams, _: &Call) -> Answered<Self> {
        let RenewParams { name, force } = params;
        let before = report(server, &name);
        let after = server.certificates.renew(name, force).await?;
        Ok(confirmed(before.as_ref(), after))
    }
}

impl Run for Wait {
    async fn run(server: &Dispatch, params: WaitParams, call: &Call) -> Answered<Self> {
        let WaitParams { name, timeout_ms } = params;
        let report = call.reporter::<Self>();
        let step = move |step| report(WaitProgress { step });
        let timeout = timeout_ms.map(Duration::from_millis);
        Ok(server.certificates.wait(&name, timeout, step).await?)
    }
}

impl Run for Import {
    async fn run(server: &Dispatch, params: ImportParams, call: &Call) -> Answered<Self> {
        let ImportParams { name, cert, key } = params;
        let (certificates, actor) = (server.certificates.clone(), call.actor.clone());
        let before = report(server, &name);
        let after =
            to_its_end(async move { certificates.import(actor, name, &cert, &key).await }).await?;
        Ok(confirmed(before.as_ref(), after))
    }
}

/// The certificate before a command; `None` of a name that has none, which the command says itself.
fn report(server: &Dispatch, name: &DomainName) -> Option<CertificateReport> {
    server.certificates.show(name).ok().map(|(report, _)| report)
}

/// The certificate after a command, with what has changed since it was as `before`.
fn confirmed(
    before: Option<&CertificateReport>,
    after: CertificateReport,
) -> Confirmed<CertificateReport> {
    let served = |report: &CertificateReport| {
        report.served.as_ref().map_or_else(
            || "none".to_owned(),
            |served| format!("{} until {}", served.issuer, date(time(served.not_after_ms))),
        )
    };
    let sha256 = |report: &CertificateReport| report.served.as_ref().map(|of| of.sha256.clone());
    let source = |report: &CertificateReport| {
        report.source.map_or("none", CertificateSource::as_str).to_owned()
    };
    let mut changed = Vec::new();
    if let Some(before) = before {
        if sha256(before) != sha256(&after) {
            changed.push(format!("certificate: {} → {}", served(before), served(&after)));
        }
        if before.source != after.source {
            changed.push(format!("source: {} → {}", source(before), source(&after)));
        }
        if before.state != after.state {
            changed.push(format!("status: {} → {}", before.state, after.state));
        }
    }
    Confirmed::new(after, changed)
}

impl Run for Export {
    async fn run(server: &Dispatch, params: ExportParams, _: &Call) -> Answered<Self> {
        let ExportParams { name, key } = params;
        let exported = server.certificates.export(name, key).await?;
        Ok(Exported { cert: exported.cert, key: exported.key })
    }
}

impl Run for Revoke {
    async fn run(server: &Dispatch, params: RevokeParams, call: &Call) -> Answered<Self> {
        let RevokeParams { name, reason } = params;
        let (certificates, actor) = (server.certificates.clone(), call.actor.clone());
        let before = report(server, &name);
        let after =
            to_its_end(async move { certificates.revoke(actor, name, reason).await }).await?;
        let mut confirmed = confirmed(before.as_ref(), after);
        confirmed.changed.get_or_insert_default().insert(0, format!("revoked, reason {reason}"));
        Ok(confirmed)
    }
}

impl Run for Ca {
    async fn run(server: &Dispatch, _: NoParams, _: &Call) -> Answered<Self> {
        let (cert, sha256) = server.certificates.authority().await?;
        Ok(Authority { cert, sha256 })
    }
}

impl Run for Account {
    async fn run(server: &Dispatch, _: NoParams, _: &Call) -> Answered<Self> {
        Ok(AccountList { accounts: server.certificates.accounts().await? })
    }
}
