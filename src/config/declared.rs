//! What a config file declares: the domains and backends, as control compares and applies them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{
    Backend, BackendAddr, BackendId, BackendState, BackendTls, Balance, DomainName, HostOptions,
    Scheme, SendProxyProtocol, Tag, TlsMode, VirtualHost, Weight,
};

/// The domains and backends of a config file, in the file's order.
///
/// It is stored as the last applied file, so fields that join later need a serde default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Declared {
    /// The `[[virtual_hosts]]`; no name occurs twice among them and their aliases.
    pub domains: Vec<DeclaredDomain>,
    /// The `[[backends]]`; no id occurs twice.
    pub backends: Vec<DeclaredBackend>,
}

impl Declared {
    /// The declarations as they are stored.
    ///
    /// # Panics
    /// Never: every key is a string.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("declarations have string keys and no custom errors")
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When the text is not that.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

/// One `[[virtual_hosts]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredDomain {
    /// Its name.
    pub domain: DomainName,
    /// Other names that are served, and switched, with it.
    #[serde(default)]
    pub aliases: Vec<DomainName>,
    /// The tag that serves it (`enabled_backends_tag`).
    pub live: Tag,
    /// Whether plain HTTP is redirected once the domain is served over HTTPS.
    pub http_to_https: bool,
    /// How a backend is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// Where its certificate comes from.
    #[serde(default)]
    pub tls: TlsMode,
    /// For how long browsers are told to ask over HTTPS only (RFC 6797), in seconds; 0 is not at all.
    #[serde(default)]
    pub hsts_max_age_secs: u32,
    /// What it does besides.
    #[serde(default, skip_serializing_if = "HostOptions::is_empty")]
    pub options: HostOptions,
}

impl From<DeclaredDomain> for VirtualHost {
    /// The virtual host as a first start makes it: nothing was live before.
    fn from(declared: DeclaredDomain) -> Self {
        let DeclaredDomain {
            domain,
            aliases,
            live,
            http_to_https,
            balance,
            tls,
            hsts_max_age_secs,
            options,
        } = declared;
        Self {
            domain,
            aliases,
            live,
            previous: None,
            http_to_https,
            balance,
            tls,
            hsts_max_age_secs,
            options,
        }
    }
}

/// One `[[backends]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredBackend {
    /// Its name.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// The pools it belongs to.
    pub tags: BTreeSet<Tag>,
    /// Its share of a pool's traffic.
    #[serde(default)]
    pub weight: Weight,
    /// How it is spoken to.
    #[serde(default)]
    pub scheme: Scheme,
    /// How TLS to it differs from what is usual.
    #[serde(default, skip_serializing_if = "BackendTls::is_default")]
    pub tls: BackendTls,
    /// Whether it takes traffic, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BackendState>,
    /// Whether it serves only while no other backend of a pool is fit.
    #[serde(default)]
    pub backup: bool,
    /// Whether connections to it begin with a header of the PROXY protocol.
    #[serde(default)]
    pub send_proxy_protocol: SendProxyProtocol,
}

impl From<DeclaredBackend> for Backend {
    /// The backend as a first start makes it: ready, unless the file says otherwise.
    fn from(declared: DeclaredBackend) -> Self {
        let DeclaredBackend {
            id,
            address,
            tags,
            weight,
            scheme,
            tls,
            state,
            backup,
            send_proxy_protocol,
        } = declared;
        let state = state.unwrap_or_default();
        Self { id, address, tags, weight, scheme, tls, state, backup, send_proxy_protocol }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_comes_back_also_when_keys_have_joined_since() {
        let stored = r#"{
            "domains": [{"domain": "example.com", "live": "a", "http_to_https": true}],
            "backends": [{"id": "web", "address": "localhost:3001", "tags": ["a"]}]
        }"#;
        let declared: Declared = serde_json::from_str(stored).expect("the oldest form");
        let backend = Backend::from(declared.backends[0].clone());
        assert_eq!((backend.weight.get(), backend.state), (1, BackendState::Ready));
        let host = VirtualHost::from(declared.domains[0].clone());
        assert_eq!((host.live.as_str(), host.previous), ("a", None));
        let json = serde_json::to_string(&declared).expect("plain data");
        assert_eq!(serde_json::from_str::<Declared>(&json).expect(&json), declared);
    }
}
