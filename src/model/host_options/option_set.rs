//! Every option of a virtual host that `options` has on the wire.

use std::path::PathBuf;

use super::{
    AccessLogRule, BasicAuth, Drain, Encoding, ErrorPages, HeaderEdits, HeaderField, Maintenance,
    Network, PageFor, PathRoute, Pause, RateLimit, SplitOptions, Sticky, Timeouts, UserName,
    compression, path_route,
};
use crate::model::record::{Canonical, Held, OptionError, Record, as_written, record};
use crate::model::{DomainName, Pattern, Size};

record! {
    /// The options of a virtual host. An option that is not set is off.
    pub struct OptionSet {
        /// Requests under any other name of the domain are redirected to this host (308).
        pub canonical_host: Option<DomainName>,
        /// Paths that other tags serve: the longest matching prefix wins.
        pub paths: Vec<PathRoute>,
        /// Edits of the headers of requests, before a backend gets them.
        pub request_headers: HeaderEdits,
        /// Edits of the headers of responses, before a client gets them.
        pub response_headers: HeaderEdits,
        /// The users who may enter, by name and password (RFC 7617); others get 401.
        pub basic_auth: Option<BasicAuth>,
        /// The encodings of compressible responses, in order of preference.
        pub compression: Vec<Encoding>,
        /// Files or texts to send instead of error answers, by status (`404`) or class (`5xx`).
        pub error_pages: ErrorPages,
        /// While this is set, all requests are answered with 503.
        pub maintenance: Option<Maintenance>,
        /// While this is set, new requests wait.
        pub pause: Option<Pause>,
        /// Keeps each client at the backend that it got first, by a cookie.
        pub sticky: Option<Sticky>,
        /// How clients are dealt out while the domain is live on several tags.
        pub split: SplitOptions,
        /// How long backends may take for requests of this domain. What is not given is as its app says.
        pub timeouts: Timeouts,
        /// What becomes of WebSockets and event streams that a switch leaves behind. Without it, what its app
        /// says.
        pub drain: Drain,
        /// The largest request body, in bytes. A larger one gets 413. The default is that of its app.
        pub max_body_bytes: Option<Size>,
        /// The rate of requests that are accepted in all. Further ones get 429.
        pub rate_limit: Option<RateLimit>,
        /// The rate of requests that are accepted from each client; for IPv6, from each /64. Further ones get 429.
        pub client_rate_limit: Option<RateLimit>,
        /// The clients that are served; others get 403. If the list is empty, all are served.
        pub allow: Vec<Network>,
        /// Clients that get 403, even if `allow` lists them.
        pub deny: Vec<Network>,
        /// Which of its requests the access log has, where that is not as its app or `[access_log]` says.
        pub access_log: AccessLogRule,
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
    const OF_REQUESTS: &'static [&'static str] = &["request_headers", "response_headers"];
    const SECRETS: &'static [&'static str] = &["basic_auth.users"];
    const FILES: &'static [&'static str] = &["error_pages"];

    fn doubts(&self) -> Vec<OptionError> {
        let of_requests = self.request_headers.doubts("request_headers");
        [of_requests, self.response_headers.doubts("response_headers")].concat()
    }

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
            ("access_log", self.access_log.check()),
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
