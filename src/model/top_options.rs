//! The options of a virtual host that stand at the top of its forms: on the wire and in the store the others
//! are in `options`.

use super::record::{OptionError, Record, record};
use super::{AppName, Balance, DomainName, TlsMode, WholeSeconds};

/// The longest `max-age` of `Strict-Transport-Security`: four years. What is longer is a mistyped unit.
const MAX_HSTS_SECS: u32 = 4 * 365 * 86_400;

record! {
    /// The options at the top of a virtual host.
    pub struct TopOptions {
        /// The app that it belongs to: its tags are those of the app's backends. Without it, they are those of
        /// backends that are in no app.
        pub app: Option<AppName>,
        /// Further names that are served and switched with it.
        pub aliases: Vec<DomainName>,
        /// Whether plain HTTP is redirected once the domain is served over HTTPS.
        pub http_to_https: bool = true,
        /// How a backend is chosen: `round-robin`; `least-connections`, the less busy of two at random;
        /// `least-latency`, the one of two at random that is likely to answer first; or, so that a client
        /// stays at one backend, `hash-client` (by its address), `hash-header:NAME` or `hash-cookie:NAME`.
        pub balance: Balance,
        /// Where its certificate comes from: `auto`, `internal`, `off`, or files. `auto` is the CA of
        /// `[lets_encrypt]`, or the server's own CA for names that no public CA signs, such as
        /// `app.internal`. `internal` is always the server's own CA (not for `*`), and `off` means no HTTPS.
        /// Files are given as absolute paths and read again when they change.
        pub tls: TlsMode,
        /// How long browsers must use HTTPS only (`Strict-Transport-Security`), in seconds; 0 turns this
        /// off. A browser remembers the last value that it received until it expires, so start with a small
        /// one.
        pub hsts_max_age_secs: WholeSeconds<0, MAX_HSTS_SECS>,
    }
}

impl Record for TopOptions {
    const FILES: &'static [&'static str] = &["tls.cert", "tls.key", "tls.files"];

    fn problems(&self) -> Vec<OptionError> {
        match &self.tls {
            TlsMode::Files { cert, key } if cert.is_relative() || key.is_relative() => {
                vec![OptionError::new("tls", "write the whole paths, from `/` on")]
            }
            _ => Vec::new(),
        }
    }
}
