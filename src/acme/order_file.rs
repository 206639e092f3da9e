//! The file of an order in progress, for resuming it after a crash.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::now_ms;
use crate::model::{ChallengeKind, DomainName};

/// An order in progress: everything that is needed to resume it after a crash.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OrderFile {
    pub(super) name: DomainName,
    /// The account it was placed with.
    pub(super) account: String,
    /// Its URL at the CA; empty before it is placed.
    pub(super) url: String,
    /// The private key of the certificate, PKCS#8 as PEM.
    pub(super) key: String,
    pub(super) created_ms: u64,
    /// The answers to its challenges.
    #[serde(default)]
    pub(super) answers: Vec<Answer>,
}

/// The answer to one challenge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "challenge")]
pub(super) enum Answer {
    #[serde(rename = "http-01")]
    Http01 { host: String, token: String, key_authorization: String },
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01 { name: String, digest: Vec<u8> },
    #[serde(rename = "dns-01")]
    Dns01 { fqdn: String, value: String },
    #[serde(rename = "dns-persist-01")]
    DnsPersist01,
}

impl Answer {
    pub(super) fn kind(&self) -> ChallengeKind {
        match self {
            Self::Http01 { .. } => ChallengeKind::Http01,
            Self::TlsAlpn01 { .. } => ChallengeKind::TlsAlpn01,
            Self::Dns01 { .. } => ChallengeKind::Dns01,
            Self::DnsPersist01 => ChallengeKind::DnsPersist01,
        }
    }
}

impl OrderFile {
    /// Whether the CA has probably forgotten it.
    pub(super) fn is_old(&self) -> bool {
        const MAX_AGE_MS: u64 = 8 * 3600 * 1000;
        now_ms().saturating_sub(self.created_ms) > MAX_AGE_MS
    }

    /// Whether a bundle has this order's key.
    pub(super) fn is_for(&self, bundle: &str) -> bool {
        bundle.starts_with(self.key.trim_end())
    }
}

impl fmt::Debug for OrderFile {
    /// The key and the tokens stay out of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderFile")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
