//! Clients that stay with their backend.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::WholeSeconds;

/// How a client is recognised: by an encrypted cookie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sticky {
    /// The cookie's name. The default is `vhost_backend`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// How long the cookie lasts, in seconds. Without it, until the browser is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_secs: Option<WholeSeconds>,
}

impl Sticky {
    /// The name of the cookie.
    pub fn cookie_name(&self) -> &str {
        self.cookie.as_deref().unwrap_or("vhost_backend")
    }

    /// The name is one that a cookie may have (RFC 6265 §4.1.1).
    pub(super) fn check(&self) -> Result<(), String> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let name = self.cookie_name();
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(format!("`{name}` can't be a cookie's name; use letters, digits and `_`"));
        }
        Ok(())
    }
}
