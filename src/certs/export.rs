//! Exports a certificate as PEM, for another server.

use std::sync::Arc;

use super::error::CertError;
use super::handle::Certificates;
use super::plan::Plan;
use crate::model::{CertificateSource, DomainName};
use crate::tls::Certificate;

/// A certificate with its chain, and its key if requested.
pub(crate) struct Exported {
    /// The certificate and its chain, PEM.
    pub cert: String,
    /// The key, PEM.
    pub key: Option<String>,
}

impl Certificates {
    /// The certificate that is served for a name, and its key if `with_key` is set.
    ///
    /// # Errors
    /// When there is none, or its file can't be read.
    pub(crate) async fn export(
        &self,
        name: DomainName,
        with_key: bool,
    ) -> Result<Exported, CertError> {
        let name = self.name(name)?;
        let (source, served, url, plan) = {
            let table = self.shared.table.read();
            let entry = table.get(&name);
            let served = entry.and_then(|entry| entry.served.clone());
            let (source, served) = served.ok_or_else(|| CertError::NoCertificate {
                name: name.clone(),
                hint: Some(format!("see `vhost ctl cert show {name}`")),
            })?;
            let url = entry.and_then(|entry| entry.directory_url.clone());
            (source, served, url, entry.map(|entry| entry.plan.clone()))
        };
        let cert = pem_of(&served.certificate);
        if !with_key {
            return Ok(Exported { cert, key: None });
        }
        if source == CertificateSource::Internal {
            return Err(CertError::KeyNotKept { name });
        }
        let shared = Arc::clone(&self.shared);
        let key = tokio::task::spawn_blocking(move || {
            let storage = &shared.settings.storage;
            match (source, plan) {
                (CertificateSource::Acme, _) => {
                    let stored = url.and_then(|url| storage.of_ca(&url).load_one(&name));
                    Ok(stored.map(|stored| stored.bundle))
                }
                (CertificateSource::Imported, _) => {
                    Ok(storage.imported().load_one(&name).map(|stored| stored.bundle))
                }
                (CertificateSource::Files, Some(Plan::Files { key, .. })) => {
                    std::fs::read_to_string(key).map(Some)
                }
                _ => Ok(None),
            }
        });
        let text = key.await.map_err(|_| CertError::Stopping)??;
        let gone = || std::io::Error::new(std::io::ErrorKind::NotFound, "its key is gone");
        let key = text.as_deref().and_then(key_of).ok_or_else(gone)?;
        Ok(Exported { cert, key: Some(key) })
    }
}

fn pem_of(certificate: &Certificate) -> String {
    let chain = &certificate.certified_key().cert;
    chain.iter().map(|der| encode(&pem::Pem::new("CERTIFICATE", der.as_ref()))).collect()
}

/// The private key in a PEM text.
fn key_of(text: &str) -> Option<String> {
    let blocks = pem::parse_many(text).ok()?;
    blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY")).map(encode)
}

fn encode(block: &pem::Pem) -> String {
    pem::encode_config(block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}
