//! Everything about talking to ACME CAs.
#![allow(missing_docs, clippy::pedantic, unused)]

mod challenge;

use crate::config::IssuerSettings;
use crate::model::*;
pub use challenge::Challenges;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

#[derive(Clone)]
pub struct Ca;
pub struct Listeners {
    pub http: bool,
    pub tls: bool,
}
pub struct OrderRequest {
    pub name: DomainName,
    pub replaces: Option<CertificateDer<'static>>,
    pub prefer: Option<ChallengeKind>,
    pub avoid: Option<ChallengeKind>,
}
pub struct Issued {
    pub bundle: String,
    pub challenge: Option<ChallengeKind>,
    pub account: String,
}
pub struct RenewalWindow {
    pub start: SystemTime,
    pub end: SystemTime,
    pub explanation_url: Option<String>,
    pub look_again: Duration,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    Transient,
    Validation,
    RateLimited { whole_account: bool },
    Blocked,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct AcmeError;
impl AcmeError {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Blocked
    }
    pub fn hint(&self) -> Option<String> {
        None
    }
    pub fn retry_after(&self) -> Option<SystemTime> {
        None
    }
    pub fn challenge(&self) -> Option<ChallengeKind> {
        None
    }
}
impl Ca {
    pub fn new(
        issuer: IssuerSettings,
        dns_hook: Option<PathBuf>,
        listeners: Listeners,
        storage: Storage,
        challenges: Challenges,
    ) -> Self {
        Ca
    }
    pub fn directory_url(&self) -> &str {
        ""
    }
    pub fn is_public(&self) -> bool {
        true
    }
    pub fn is_staging(&self) -> bool {
        true
    }
    pub fn can_sign(&self, name: &DomainName) -> Result<(), AcmeError> {
        Ok(())
    }
    pub async fn issue(
        &self,
        order: OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Issued, AcmeError> {
        Err(AcmeError)
    }
    pub async fn renewal_window(
        &self,
        leaf: &CertificateDer<'_>,
    ) -> Result<Option<RenewalWindow>, AcmeError> {
        Err(AcmeError)
    }
    pub async fn revoke(
        &self,
        leaf: &CertificateDer<'_>,
        reason: RevocationReason,
    ) -> Result<(), AcmeError> {
        Err(AcmeError)
    }
    pub fn account(&self) -> AccountInfo {
        todo!()
    }
    pub async fn register(&self) -> Result<AccountInfo, AcmeError> {
        Err(AcmeError)
    }
    pub fn restore(&self) {}
}
pub mod schedule {
    use super::*;
    pub fn retry_at(
        now: SystemTime,
        attempt: u32,
        kind: ErrorKind,
        retry_after: Option<SystemTime>,
        not_after: Option<SystemTime>,
        draw: f64,
    ) -> SystemTime {
        now
    }
    pub fn renew_at(
        not_before: SystemTime,
        not_after: SystemTime,
        window: Option<(SystemTime, SystemTime)>,
        draw: f64,
    ) -> SystemTime {
        not_after
    }
}
#[derive(Clone)]
pub struct Storage;
impl Storage {
    pub fn new(cache_dir: PathBuf) -> Self {
        Storage
    }
    pub fn prepare(&self) -> io::Result<()> {
        Ok(())
    }
    pub fn load(&self, directory_url: &str) -> Loaded {
        Loaded { stored: Vec::new(), problems: Vec::new() }
    }
    pub fn save(
        &self,
        directory_url: &str,
        name: &DomainName,
        bundle: &str,
        meta: &Meta,
    ) -> io::Result<()> {
        Ok(())
    }
    pub fn save_meta(&self, directory_url: &str, name: &DomainName, meta: &Meta) -> io::Result<()> {
        Ok(())
    }
    pub fn set_aside(&self, directory_url: &str, name: &DomainName) -> io::Result<()> {
        Ok(())
    }
    pub fn remove(&self, directory_url: &str, name: &DomainName) -> io::Result<()> {
        Ok(())
    }
    pub fn load_imported(&self) -> Loaded {
        Loaded { stored: Vec::new(), problems: Vec::new() }
    }
    pub fn save_imported(&self, name: &DomainName, bundle: &str) -> io::Result<()> {
        Ok(())
    }
    pub fn load_one(&self, directory_url: &str, name: &DomainName) -> Option<Stored> {
        None
    }
    pub fn load_one_imported(&self, name: &DomainName) -> Option<Stored> {
        None
    }
    pub fn remove_imported(&self, name: &DomainName) -> io::Result<()> {
        Ok(())
    }
}
pub struct Stored {
    pub name: DomainName,
    pub bundle: String,
    pub meta: Meta,
}
pub struct Loaded {
    pub stored: Vec<Stored>,
    pub problems: Vec<(PathBuf, String)>,
}
#[derive(Serialize, Deserialize, Default, Clone)]
#[serde(default)]
pub struct Meta {
    pub account: Option<String>,
    pub challenge: Option<ChallengeKind>,
    pub issued_ms: Vec<u64>,
    pub attempts: u32,
    pub next_ms: Option<u64>,
    pub last_error: Option<String>,
    pub window_ms: Option<(u64, u64)>,
    pub renew_ms: Option<u64>,
    pub explanation_url: Option<String>,
    pub log: Vec<Attempt>,
}
pub async fn ask(url: &str, name: &str) -> Result<bool, String> {
    Ok(false)
}
