//! How backends are spoken to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::worded;

worded! {
    /// How a backend is spoken to.
    #[derive(Hash, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum Scheme read as "scheme" {
        /// HTTP/1.1 in the clear.
        #[default]
        Http "http",
        /// HTTP/2 over TLS where the backend offers it (ALPN), else HTTP/1.1.
        Https "https",
        /// HTTP/2 over TLS, which the backend must offer.
        H2 "h2",
        /// HTTP/2 in the clear with prior knowledge (RFC 9113 §3.3).
        H2c "h2c",
    }
}

impl Scheme {
    /// Whether it is spoken over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::H2)
    }
}
