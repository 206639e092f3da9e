//! Certificates as people see them: where one comes from, what is served, and what is being done.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{DomainName, ParseError, Pattern, worded};

/// Where the certificate of a virtual host is to come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// From the ACME CA, where one is configured and may sign the name; else, for names that no
    /// public CA would sign, from the server's own CA.
    #[default]
    Auto,
    /// From the server's own CA.
    Internal,
    /// From nowhere: the domain is not served over HTTPS.
    Off,
    /// From files of the operator, which are read again when they change.
    Files {
        /// The certificate with its chain, PEM.
        cert: PathBuf,
        /// Its private key, PEM.
        key: PathBuf,
    },
}

impl TlsMode {
    /// Why a domain can't have its certificate from there, and what would be right.
    pub fn problem_of(&self, domain: &DomainName) -> Option<&'static str> {
        match self {
            Self::Internal if domain.pattern() == Pattern::Default => Some(
                "the server's own CA signs only names that are declared, and `*` is none; choose \
                 `auto` or `off`, give it the files of a certificate, or declare the names",
            ),
            Self::Auto | Self::Internal | Self::Off | Self::Files { .. } => None,
        }
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Internal => f.pad("internal"),
            Self::Off => f.pad("off"),
            Self::Files { cert, key } => f.pad(&format!("{}, {}", cert.display(), key.display())),
        }
    }
}

impl FromStr for TlsMode {
    type Err = ParseError;

    /// Reads the modes that are one word; files are two paths.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "auto" => Ok(Self::Auto),
            "internal" => Ok(Self::Internal),
            "off" => Ok(Self::Off),
            _ => Err(ParseError::new("TLS mode", text, TLS_MODES)),
        }
    }
}

/// What there is to choose from.
const TLS_MODES: &str = "choose `auto`, `internal` or `off`, or name the files of a certificate: \
                         `{ cert = \"/etc/ssl/example.com.pem\", key = \"/etc/ssl/example.com.key\" }`";

impl<'de> Deserialize<'de> for TlsMode {
    /// Reads a word, or files: as the config file names them, or in a member `files`, which is how they are
    /// stored and shown.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Files {
            cert: PathBuf,
            key: PathBuf,
        }

        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            Value::String(text) => text.parse().ok(),
            value => {
                let alone = value.as_object().filter(|members| members.len() == 1);
                let files = alone.and_then(|members| members.get("files")).unwrap_or(value);
                let files = Files::deserialize(files).ok();
                files.map(|Files { cert, key }| Self::Files { cert, key })
            }
        };
        read.ok_or_else(|| D::Error::custom(TLS_MODES))
    }
}

impl JsonSchema for TlsMode {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TlsMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let files = json!({
            "type": "object",
            "description": "The files of a certificate.",
            "properties": {
                "cert": { "type": "string", "description": "The certificate with its chain, PEM." },
                "key": { "type": "string", "description": "Its private key, PEM." },
            },
            "required": ["cert", "key"],
            "additionalProperties": false,
        });
        json_schema!({
            "description": "Where the certificate of a virtual host is to come from.",
            "anyOf": [
                { "enum": ["auto", "internal", "off"] },
                files,
                {
                    "type": "object",
                    "description": "The same, as results have it.",
                    "properties": { "files": files },
                    "required": ["files"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

worded! {
    /// The kind of key that a certificate is ordered for.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum KeyType {
        /// ECDSA on P-256.
        #[default]
        P256 "p256",
        /// ECDSA on P-384.
        P384 "p384",
    }
}

worded! {
    /// A way to prove to a CA that a name is ours, by its name in the file, and in ACME.
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum ChallengeKind {
        /// A certificate of its own over TLS (RFC 8737).
        #[serde(rename = "tls-alpn-01")]
        TlsAlpn01 "tls-alpn-01",
        /// A file under `/.well-known/acme-challenge/` over plain HTTP (RFC 8555 §8.3).
        #[serde(rename = "http-01")]
        Http01 "http-01",
        /// A TXT record for each order (RFC 8555 §8.4).
        #[serde(rename = "dns-01")]
        Dns01 "dns-01",
        /// One TXT record for good (draft-ietf-acme-dns-persist).
        #[serde(rename = "dns-persist-01")]
        DnsPersist01 "dns-persist-01",
    }
}

worded! {
    /// Where a certificate that is served comes from.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum CertificateSource {
        /// An ACME CA.
        Acme "acme",
        /// The server's own CA.
        Internal "internal",
        /// Files of the operator.
        Files "files",
        /// `vhost ctl cert import`.
        Imported "imported",
        /// A value of a newer version.
        #[serde(other)]
        Unknown "unknown",
    }
}

worded! {
    /// The state of a name's certificate: what is served and what is being done, in one word.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum CertificateState {
        /// There is none yet; it is about to be ordered.
        Pending "pending",
        /// The first one is being ordered.
        Ordering "ordering",
        /// A valid one is served.
        Valid "valid",
        /// A valid one is served, and its successor is being ordered.
        Renewing "renewing",
        /// The last attempt failed, and there will be another. The current certificate, if any, is still
        /// served.
        Failed "failed",
        /// No attempt will succeed until somebody acts.
        Blocked "blocked",
        /// The served certificate has expired.
        Expired "expired",
        /// None is wanted: the domain's `tls` is off, or it has no source.
        None "none",
        /// A value of a newer version.
        #[serde(other)]
        Unknown "unknown",
    }
}

/// The contents of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFacts {
    /// The names that it is valid for.
    pub names: Vec<String>,
    /// Who signed it: the issuer's common name, or its organisation.
    pub issuer: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// The SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// The kind of its key, such as `P-256` or `RSA 2048`.
    pub key_type: String,
    /// The start of its validity, in milliseconds since the Unix epoch.
    pub not_before_ms: u64,
    /// The end of its validity, in milliseconds since the Unix epoch.
    pub not_after_ms: u64,
    /// The subjects of the certificates sent with it, its issuer's first.
    pub chain: Vec<String>,
}

/// The certificate of one name, and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateReport {
    /// The name.
    pub name: DomainName,
    /// The name as people write it, where that is another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unicode: Option<String>,
    /// The virtual host that it belongs to: the name itself, or the domain whose alias it is.
    pub domain: DomainName,
    /// Where it comes from; null if none is wanted.
    pub source: Option<CertificateSource>,
    /// How it stands.
    pub state: CertificateState,
    /// The served certificate, if there is one.
    pub served: Option<CertificateFacts>,
    /// The current step, such as `waiting for the CA to check http-01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// When the next renewal or attempt is due, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// Attempts since the last success.
    #[serde(default)]
    pub attempts: u32,
    /// Why the last attempt failed, in the words of the CA or whoever else refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether clients trust the served certificate without being configured to: plain HTTP is redirected then.
    #[serde(default)]
    pub trusted: bool,
}

/// What happened to a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum CertificateNews {
    /// A new one is served.
    Served {
        /// Where it comes from.
        source: CertificateSource,
        /// Who signed it.
        issuer: String,
        /// Its serial number, in hexadecimal.
        serial: String,
        /// The end of its validity, in milliseconds since the Unix epoch.
        not_after_ms: u64,
        /// Whether it took the place of another.
        renewed: bool,
    },
    /// An attempt to get one failed.
    Failed {
        /// Why.
        error: String,
        /// Which attempt in a row it was.
        attempt: u32,
        /// When the next one is made, in milliseconds since the Unix epoch; nothing where a person has
        /// to act first.
        next_ms: Option<u64>,
    },
    /// Files of the operator, or a stored certificate, can't be used. What was served before still is.
    Rejected {
        /// Why.
        error: String,
    },
    /// It was revoked.
    Revoked {
        /// Its serial number, in hexadecimal.
        serial: String,
        /// Why, as RFC 5280 §5.3.1 names it.
        reason: String,
    },
    /// A value of a newer version.
    #[serde(other)]
    Unknown,
}
