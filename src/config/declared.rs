//! What a config file declares: the apps, domains and backends, as control compares and applies them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::record::{as_stored, stored};
use crate::model::{
    AppName, AppOptions, Backend, BackendAddr, BackendId, BackendOptions, BackendState, Tag,
    VirtualHost, stored_backend_options,
};

/// The apps, domains and backends of a config file, in the file's order.
///
/// It is stored as the last applied file, so fields that join later need a serde default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Declared {
    /// The `[[apps]]`; no name occurs twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<DeclaredApp>,
    /// The `[[virtual_hosts]]`; no name occurs twice among them and their aliases.
    pub domains: Vec<VirtualHost>,
    /// The `[[backends]]`; no id occurs twice.
    pub backends: Vec<DeclaredBackend>,
}

impl Declared {
    /// The declarations as they are stored.
    ///
    /// # Panics
    /// Never: every key is a string.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("declarations have string keys and no custom errors")
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When the text is not that.
    pub(crate) fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

/// One `[[apps]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeclaredApp {
    /// Its name.
    pub name: AppName,
    /// What its domains and backends go by.
    #[serde(flatten, serialize_with = "as_stored", deserialize_with = "stored")]
    pub options: AppOptions,
}

/// One `[[backends]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredBackend {
    /// Its name.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// Its tags: the pools that it belongs to.
    pub tags: BTreeSet<Tag>,
    /// How it is spoken to, and its share of traffic.
    #[serde(flatten)]
    #[serde(serialize_with = "as_stored", deserialize_with = "stored_backend_options")]
    pub options: BackendOptions,
    /// Whether it takes traffic, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BackendState>,
}

impl From<DeclaredBackend> for Backend {
    /// The backend as a first start makes it: ready, unless the file says otherwise.
    fn from(declared: DeclaredBackend) -> Self {
        let DeclaredBackend { id, address, tags, options, state } = declared;
        Self { id, address, tags, options, state: state.unwrap_or_default() }
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
        assert_eq!((backend.options.weight.get(), backend.state), (1, BackendState::Ready));
        let host = &declared.domains[0];
        assert_eq!((host.live.as_str(), &host.previous), ("a", &None));
        let json = serde_json::to_string(&declared).expect("plain data");
        assert_eq!(serde_json::from_str::<Declared>(&json).expect(&json), declared);
    }
}
