//! The methods on certificates.

use std::time::Duration;

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, to_its_end, write};
use crate::rpc::methods::cert::{self, CertificateDetail, CertificateList};
use crate::rpc::methods::{NoParams, PAGE};

impl Dispatch {
    pub(super) fn list_certificates(&self, params: Value) -> Result<Value, Failure> {
        let cert::ListParams { after, limit } = read(params)?;
        let limit = limit.unwrap_or(PAGE).clamp(1, PAGE);
        let snapshot = self.control.snapshot();
        let mut domains = snapshot.domains_after(after.as_ref()).map(|node| &node.virtual_host);
        let page: Vec<_> = domains.by_ref().take(limit).collect();
        let is_last = domains.next().is_none();
        let next = page.last().filter(|_| !is_last).map(|domain| domain.domain.clone());
        let certificates = self.certificates.of_domains(page.into_iter());
        write::<cert::List>(&CertificateList { certificates, next })
    }

    pub(super) fn show_certificate(&self, params: Value) -> Result<Value, Failure> {
        let cert::NameParams { name } = read(params)?;
        let (report, acme) = self.certificates.show(&name)?;
        write::<cert::Show>(&CertificateDetail { report, acme })
    }

    pub(super) async fn renew_certificate(&self, params: Value) -> Result<Value, Failure> {
        let cert::RenewParams { name, force } = read(params)?;
        write::<cert::Renew>(&self.certificates.renew(name, force).await?)
    }

    pub(super) async fn wait_for_certificate(
        &self,
        params: Value,
        call: &Call,
    ) -> Result<Value, Failure> {
        let cert::WaitParams { name, timeout_ms } = read(params)?;
        let report = call.reporter::<cert::Wait>();
        let step = move |step| report(cert::WaitProgress { step });
        let timeout = timeout_ms.map(Duration::from_millis);
        write::<cert::Wait>(&self.certificates.wait(&name, timeout, step).await?)
    }

    pub(super) async fn import_certificate(
        &self,
        params: Value,
        call: &Call,
    ) -> Result<Value, Failure> {
        let cert::ImportParams { name, cert, key } = read(params)?;
        let (certificates, actor) = (self.certificates.clone(), call.actor.clone());
        let imported =
            to_its_end(async move { certificates.import(actor, name, &cert, &key).await });
        write::<cert::Import>(&imported.await?)
    }

    pub(super) async fn export_certificate(&self, params: Value) -> Result<Value, Failure> {
        let cert::ExportParams { name, key } = read(params)?;
        let exported = self.certificates.export(name, key).await?;
        write::<cert::Export>(&cert::Exported { cert: exported.cert, key: exported.key })
    }

    pub(super) async fn revoke_certificate(
        &self,
        params: Value,
        call: &Call,
    ) -> Result<Value, Failure> {
        let cert::RevokeParams { name, reason } = read(params)?;
        let (certificates, actor) = (self.certificates.clone(), call.actor.clone());
        let revoked = to_its_end(async move { certificates.revoke(actor, name, reason).await });
        write::<cert::Revoke>(&revoked.await?)
    }

    pub(super) async fn show_authority(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let (cert, sha256) = self.certificates.authority().await?;
        write::<cert::Ca>(&cert::Authority { cert, sha256 })
    }

    pub(super) async fn list_accounts(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let accounts = self.certificates.accounts().await?;
        write::<cert::Account>(&cert::AccountList { accounts })
    }
}
