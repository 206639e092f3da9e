//! One server that answers requests: who it is, where it is, and what the operator wants of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::record::{self, Differing, OptionError, Record as _, as_stored};
use super::tag::check_label;
use super::{BackendAddr, BackendOptions, PoolName, Tag, backend_options, text, worded};

text! {
    /// The name of a backend, unique on this server.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct BackendId(Arc<str>) "The name of a backend: letters, digits, `-`, `_` and `.`.",
        by |text| check_label("backend id", text, 128);
}

worded! {
    /// The state that the operator has set.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum BackendState {
        /// Gets requests if its health allows.
        #[default]
        Ready "ready",
        /// Gets no new requests; its running requests finish.
        Draining "draining",
        /// Gets neither requests nor probes.
        Disabled "disabled",
    }
}

/// A backend as the operator declared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// Its tags: the pools that it belongs to.
    pub tags: BTreeSet<Tag>,
    /// How it is spoken to, and its share of traffic.
    #[serde(flatten)]
    #[serde(serialize_with = "as_stored", deserialize_with = "backend_options::from_stored")]
    pub options: BackendOptions,
    /// Whether it takes traffic.
    #[serde(default)]
    pub state: BackendState,
}

impl Backend {
    /// The pools that it belongs to.
    pub fn pools(&self) -> impl Iterator<Item = PoolName> {
        self.tags.iter().map(|tag| PoolName::new(self.options.app.as_ref(), tag))
    }

    /// Whether it belongs to a pool.
    pub fn is_in(&self, pool: &PoolName) -> bool {
        self.options.app == pool.app && self.tags.contains(&pool.tag)
    }

    /// What doesn't go together.
    pub fn problems(&self) -> Vec<OptionError> {
        let mut problems = self.options.problems();
        problems.extend(self.options.problem_at(&self.address));
        problems
    }

    /// Each key that differs, with what both say of it, for people.
    pub fn differences(&self, other: &Self) -> Vec<Differing> {
        let tags = |of: &Self| record::text("tags", Some(&json!(of.tags)));
        let own = [
            ("address", self.address.to_string(), other.address.to_string()),
            ("tags", tags(self), tags(other)),
            ("state", self.state.to_string(), other.state.to_string()),
        ];
        let mut differing = Vec::from(own);
        differing.retain(|(_, one, other)| one != other);
        differing.extend(record::differences(&self.options, &other.options));
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scheme;

    #[test]
    fn a_backend_that_was_stored_before_keys_joined_comes_back() {
        let stored = r#"{"id":"w","address":"127.0.0.1:1","tags":[],"scheme":"https"}"#;
        let backend: Backend = serde_json::from_str(stored).unwrap();
        let options = BackendOptions { scheme: Scheme::Https, ..BackendOptions::default() };
        assert_eq!(backend.options, options);
        let json = serde_json::to_string(&backend).unwrap();
        assert!(!json.contains("tls_ca_file"), "what is not said is not stored: {json}");
    }

    #[test]
    fn a_backend_of_the_first_version_comes_back_with_its_tls() {
        let stored = r#"{"id":"w","address":"127.0.0.1:1","tags":[],"weight":3,"scheme":"h2",
            "tls":{"ca_file":"/ca.pem","insecure_skip_verify":false},"state":"draining",
            "backup":true,"send_proxy_protocol":"off","of_a_version_to_come":1}"#;
        let backend: Backend = serde_json::from_str(stored).unwrap();
        let options = BackendOptions {
            weight: 3.try_into().unwrap(),
            scheme: Scheme::H2,
            tls_ca_file: Some("/ca.pem".into()),
            backup: true,
            ..BackendOptions::default()
        };
        assert_eq!((&backend.options, backend.state), (&options, BackendState::Draining));
        let json = serde_json::to_string(&backend).unwrap();
        assert_eq!(serde_json::from_str::<Backend>(&json).unwrap(), backend, "{json}");
    }
}
