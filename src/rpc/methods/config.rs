//! Methods on the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::method;

method!(/// What the server was told, and by whom.
    Show, "config.show", ShowParams => ShownConfig);

/// What to show of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowParams {
    /// Every key, also those that have their default.
    #[serde(default)]
    pub effective: bool,
}

/// The settings of the server. Domains and backends are state: other methods show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShownConfig {
    /// The revision of the state.
    pub revision: u64,
    /// The keys, in the order of the sections.
    pub settings: Vec<ShownSetting>,
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShownSetting {
    /// Section and key, such as `proxy.threads`.
    pub key: String,
    /// The value as a file would say it; null where there is neither value nor default. A text that
    /// refers to the environment stands here as it is written, such as `${NAME}`.
    pub value: Option<Value>,
    /// Where the value came from: `default`, `FILE:LINE`, `environment` or `command line`.
    pub from: String,
    /// Whether somebody said so: not a default.
    pub set: bool,
}
