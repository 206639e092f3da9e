//! The options of a virtual host that stand at the top of its forms: on the wire and in the store the others
//! are in `options`.

use super::record::{OptionError, Record, record};
use super::{Balance, DomainName, TlsMode};

/// The longest time for which browsers are told to ask over HTTPS only: four years. What is longer is
/// a mistyped unit.
const MAX_HSTS_SECS: u32 = 4 * 365 * 86_400;

record! {
    /// The options at the top of a virtual host.
    pub struct TopOptions {
        /// Further names that are served and switched with it.
        pub aliases: Vec<DomainName>,
        /// Whether plain HTTP is redirected once the domain is served over HTTPS.
        pub http_to_https: bool = true,
        /// How a backend is chosen: `round-robin`; `least-connections`, the less busy of two at random;
        /// `least-latency`, the one of two that is likely to answer first; or, so that a client stays with
        /// a backend, `hash-client`, by its address, `hash-header:NAME` or `hash-cookie:NAME`.
        pub balance: Balance,
        /// Where its certificate comes from: `auto`, `internal`, `off`, or the files of one. `auto` is the
        /// CA of `[lets_encrypt]`, and for names that no public CA signs, such as `app.internal`, the
        /// server's own. `internal` is always the server's own (not for `*`), and `off` is no HTTPS. Files
        /// are named by whole paths and read again when they change.
        pub tls: TlsMode,
        /// For how long browsers ask over HTTPS only (`Strict-Transport-Security`), in seconds; 0 is not at
        /// all. Browsers keep to it until it is over.
        #[schemars(range(max = MAX_HSTS_SECS))]
        pub hsts_max_age_secs: u32,
    }
}

impl Record for TopOptions {
    const FILES: &'static [&'static str] = &["tls.cert", "tls.key", "tls.files"];

    fn problems(&self) -> Vec<OptionError> {
        let mut problems = Vec::new();
        if let TlsMode::Files { cert, key } = &self.tls
            && (cert.is_relative() || key.is_relative())
        {
            problems.push(OptionError::new("tls", "write the whole paths, from `/` on"));
        }
        if self.hsts_max_age_secs > MAX_HSTS_SECS {
            let reason = format!("use 0 to {MAX_HSTS_SECS} seconds (four years)");
            problems.push(OptionError::new("hsts_max_age_secs", reason));
        }
        problems
    }
}
