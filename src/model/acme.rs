//! What is known of the dealings with an ACME CA (RFC 8555).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::worded;

/// Details of an ACME certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcmeDetail {
    /// The directory URL of the CA.
    pub directory_url: String,
    /// The account that ordered it.
    #[serde(default)]
    pub account: Option<String>,
    /// The challenge that worked last.
    #[serde(default)]
    pub challenge: Option<String>,
    /// When the CA wants it to be renewed (RFC 9773): the window, in milliseconds since the Unix
    /// epoch.
    #[serde(default)]
    pub window_ms: Option<(u64, u64)>,
    /// The page on which the CA explains this window.
    #[serde(default)]
    pub explanation_url: Option<String>,
    /// The last attempts, the newest first.
    #[serde(default)]
    pub log: Vec<Attempt>,
}

/// One attempt to get a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The directory URL of the CA.
    pub directory_url: String,
    /// Why it failed; null if it succeeded.
    #[serde(default)]
    pub error: Option<String>,
}

worded! {
    /// Why a certificate is revoked (RFC 5280 §5.3.1).
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    pub enum RevocationReason {
        /// No reason is given.
        #[default]
        Unspecified "unspecified",
        /// Somebody else may have the key.
        KeyCompromise "key-compromise",
        /// Another certificate took its place.
        Superseded "superseded",
        /// The name is not served any more.
        CessationOfOperation "cessation-of-operation",
    }
}

/// The account at one CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountInfo {
    /// The directory URL of the CA.
    pub directory_url: String,
    /// The contact address that the CA has.
    pub email: String,
    /// The account's URI, if it exists.
    #[serde(default)]
    pub uri: Option<String>,
    /// The thumbprint of its key (RFC 7638).
    #[serde(default)]
    pub thumbprint: Option<String>,
    /// The value of the TXT record `_validation-persist.NAME` that allows it to get certificates by
    /// dns-persist-01.
    #[serde(default)]
    pub dns_persist: Option<String>,
    /// The value of a CAA record that allows only this account to get certificates (RFC 8657).
    #[serde(default)]
    pub caa: Option<String>,
}
