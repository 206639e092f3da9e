//! Every option of a virtual host that `options` has on the wire.

use std::path::PathBuf;

use super::{
    BasicAuth, Encoding, ErrorPages, HeaderEdits, HeaderField, Maintenance, Network, PageFor,
    PathRoute, Pause, RateLimit, Sticky, Timeouts, UserName, compression, path_route,
};
use crate::model::record::{Canonical, Held, OptionError, Record, as_written, record};
use crate::model::{DomainName, Pattern};

record! {
    /// Every option that a virtual host may have; what is not given is off.
    pub struct OptionSet {
        /// Requests under any other name of the domain are redirected to this host (308).
        pub canonical_host: Option<DomainName>,
        /// Paths that other tags serve: the longest prefix that fits wins.
        pub paths: Vec<PathRoute>,
        /// What is changed about requests before a backend gets them.
        pub request_headers: HeaderEdits,
        /// What is changed about responses before a client gets them.
        pub response_headers: HeaderEdits,
        /// Who may come in, by name and password (RFC 7617).
        pub basic_auth: Option<BasicAuth>,
        /// The encodings that compressible responses may get, the best first.
        pub compression: Vec<Encoding>,
        /// Files and texts that take the place of error answers.
        pub error_pages: ErrorPages,
        /// All requests are answered with 503 while this is there.
        pub maintenance: Option<Maintenance>,
        /// Requests wait while this is there.
        pub pause: Option<Pause>,
        /// Clients stay with the backend that they had first.
        pub sticky: Option<Sticky>,
        /// How long its backends may take.
        pub timeouts: Timeouts,
        /// The largest request body, in bytes; 413 beyond.
        pub max_body_bytes: Option<u64>,
        /// How many requests are taken in all; 429 beyond.
        pub rate_limit: Option<RateLimit>,
        /// How many requests are taken of each client; 429 beyond. An IPv6 client is its /64.
        pub client_rate_limit: Option<RateLimit>,
        /// The only clients that are served; all, where there are none. 403 for others.
        pub allow: Vec<Network>,
        /// Clients that are not served (403), whatever `allow` says.
        pub deny: Vec<Network>,
    }
}

/// The options of a virtual host, with what of them refers to the environment.
pub type HostOptions = Held<OptionSet>;

impl Record for OptionSet {
    const MAPS: &'static [(&'static str, Canonical)] = &[
        ("request_headers.set", as_written::<HeaderField>),
        ("request_headers.add", as_written::<HeaderField>),
        ("response_headers.set", as_written::<HeaderField>),
        ("response_headers.add", as_written::<HeaderField>),
        ("basic_auth.users", as_written::<UserName>),
        ("error_pages", as_written::<PageFor>),
    ];
    const SECRETS: &'static [&'static str] = &["basic_auth.users"];
    const FILES: &'static [&'static str] = &["error_pages"];

    /// None depends on another: each is about the key that it names alone.
    fn problems(&self) -> Vec<OptionError> {
        let is_exact = |name: &DomainName| matches!(name.pattern(), Pattern::Exact(_));
        let canonical = match &self.canonical_host {
            Some(host) if !is_exact(host) => Err("name one host, not a wildcard".to_owned()),
            _ => Ok(()),
        };
        let checks = [
            ("canonical_host", canonical),
            ("paths", path_route::check(&self.paths)),
            ("request_headers", self.request_headers.check()),
            ("response_headers", self.response_headers.check()),
            ("basic_auth", self.basic_auth.as_ref().map_or(Ok(()), BasicAuth::check)),
            ("compression", compression::check(&self.compression)),
            ("error_pages", self.error_pages.check()),
            ("sticky.cookie", self.sticky.as_ref().map_or(Ok(()), Sticky::check)),
        ];
        let wrong = checks.into_iter().filter_map(|(path, check)| Some((path, check.err()?)));
        wrong.map(|(path, reason)| OptionError::new(path, reason)).collect()
    }
}

impl HostOptions {
    /// The files of error pages, each with its path for people to see: as it is written where it refers
    /// to something.
    pub fn shown_pages(&self) -> Vec<(PathBuf, String)> {
        let written = self.shown();
        let shown = self.get().error_pages.files().map(|(status, path)| {
            let written =
                written.get("error_pages").and_then(|pages| pages.get(status.to_string()));
            let shown = written.and_then(serde_json::Value::as_str).unwrap_or_default();
            (path.to_owned(), shown.to_owned())
        });
        shown.collect()
    }
}
