//! A domain with its options and its live tag.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balance, DomainName, HostOptions, Tag, TlsMode};

/// The longest time for which browsers are told to ask over HTTPS only: four years. What is longer is
/// a mistyped unit.
pub const LONGEST_HSTS_SECS: u32 = 4 * 365 * 86_400;

/// A virtual host as the operator declared it, and the tag that serves it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VirtualHost {
    /// Its name.
    pub domain: DomainName,
    /// Other names that are served, and switched, with it.
    #[serde(default)]
    pub aliases: Vec<DomainName>,
    /// The tag whose pool serves it.
    pub live: Tag,
    /// The tag that was live before the last switch; `undo` goes back to it.
    #[serde(default)]
    pub previous: Option<Tag>,
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

impl VirtualHost {
    /// The domain and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &DomainName> {
        std::iter::once(&self.domain).chain(&self.aliases)
    }

    /// The tags that serve it: the live one, and those of paths.
    pub fn serving(&self) -> impl Iterator<Item = &Tag> {
        std::iter::once(&self.live).chain(self.options.get().paths.iter().map(|path| &path.tag))
    }
}
