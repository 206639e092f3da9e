//! What the translator needs of all of the config.

use super::matchers::Matchers;
use crate::translate::blocks::Directive;
use crate::translate::pools::Pools;

/// What a site is translated with.
pub(super) struct Site<'t> {
    pub(super) block: &'t Directive,
    pub(super) names: Vec<String>,
    pub(super) is_plain: bool,
    pub(super) matchers: Matchers<'t>,
}

/// What all sites share.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) pools: Pools,
    pub(super) ports: Ports,
    /// The e-mail address for certificates.
    pub(super) email: Option<String>,
    /// Whether names get certificates at all.
    pub(super) has_https: bool,
    /// Whether all certificates are from the server's own CA.
    pub(super) is_local: bool,
    pub(super) redirects: bool,
}

/// The ports of HTTP and HTTPS.
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) https: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { http: 80, https: 443 }
    }
}
