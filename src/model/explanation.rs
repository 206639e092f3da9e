//! What would happen to a request: the question and the answer.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Actor, AppName, BackendAddr, BackendId, BackendState, Balance, DomainName, HealthReport,
    ParseError, PathRoute, ReleaseLabel, Scheme, SplitKey, Tag, TagShare, Weight, serde_as_text,
    worded,
};

/// The URL of a request: `http://host/path`, or `host/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestUrl {
    https: bool,
    authority: String,
    path: String,
}

impl RequestUrl {
    /// Whether it begins with `https://`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host, with its port where it has one, as a client sends it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path and the query.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for RequestUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("URL", text, reason);
        let (https, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some(_) => return Err(fail("it begins with `http://`, `https://` or the host")),
        };
        if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(fail("a URL has no spaces"));
        }
        // What stands behind `#` never leaves the client.
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() {
            return Err(fail("it names no host; write `example.com/path`"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if path.parse::<http::uri::PathAndQuery>().is_err() {
            return Err(fail("its path has characters that must be percent-encoded"));
        }
        let authority = in_ascii(authority).ok_or_else(|| fail("its host is not a name (IDNA)"))?;
        Ok(Self { https, authority, path })
    }
}

/// A host with its port, the host as clients send it.
fn in_ascii(authority: &str) -> Option<String> {
    if authority.is_ascii() {
        return Some(authority.to_owned());
    }
    let (host, port) = authority.split_at(authority.rfind(':').unwrap_or(authority.len()));
    Some(format!("{}{port}", idna::domain_to_ascii(host).ok()?))
}

impl fmt::Display for RequestUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

serde_as_text!(RequestUrl, "`http://host/path`, `https://host/path`, or `host/path`.");

/// A header of a request: `Name: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    name: http::HeaderName,
    value: http::HeaderValue,
}

impl HeaderLine {
    /// Its name, in lower case.
    pub fn name(&self) -> &http::HeaderName {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &http::HeaderValue {
        &self.value
    }
}

impl FromStr for HeaderLine {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("header", text, reason);
        let (name, value) =
            text.split_once(':').ok_or_else(|| fail("write it as `Name: value`"))?;
        let name = name.trim().parse().map_err(|_| fail("this is not a valid header name"))?;
        let value = value.trim().parse().map_err(|_| fail("this is not a valid header value"))?;
        Ok(Self { name, value })
    }
}

impl fmt::Display for HeaderLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value.to_str().unwrap_or_default())
    }
}

serde_as_text!(HeaderLine, "`Name: value`.");

/// What would happen to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The revision of the state.
    pub revision: u64,
    /// The host that it is routed by, in lower case and without port; null if it has no valid host.
    pub host: Option<String>,
    /// Its path and query.
    pub path: String,
    /// The virtual host of that host.
    pub matched: Option<Match>,
    /// If nothing matched, the name that is most similar to the host.
    pub near: Option<DomainName>,
    /// The path route of the domain that matches, if a tag other than the live one serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<PathRoute>,
    /// The tag that serves it where not only the path decides, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<ChosenTag>,
    /// The domain's live tag.
    pub live: Option<LiveTag>,
    /// How a backend of the tag is chosen.
    pub balance: Option<Balance>,
    /// All backends of the tag that serves it.
    pub backends: Vec<BackendStanding>,
    /// The time-outs that apply.
    pub timeouts: RequestTimeouts,
    /// The maximum number of backends that it would be tried on.
    pub tries: usize,
    /// The networks of clients whose forwarded headers are trusted.
    pub trusted_proxies: Vec<String>,
    /// How long it would wait at most, in milliseconds, if its domain is paused. The other fields describe
    /// what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_ms: Option<u64>,
    /// The location that the client would be redirected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirected: Option<String>,
    /// Whether it would get the answer to an ACME challenge.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answers_challenge: bool,
    /// What the client would get instead of a backend's answer; null if it would be served or redirected.
    pub refused: Option<Refusal>,
    /// Further remarks.
    pub notes: Vec<String>,
}

/// The virtual host of a request, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Match {
    /// The virtual host.
    pub domain: DomainName,
    /// Its name as people write it, where that is another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unicode: Option<String>,
    /// The name that matched.
    pub name: DomainName,
    /// How that name matched.
    pub by: MatchedBy,
    /// Whether that name is an alias.
    pub alias: bool,
}

worded! {
    /// How a host matched its virtual host.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum MatchedBy {
        /// By its exact name.
        Exact "exact",
        /// By a wildcard one label up.
        Wildcard "wildcard",
        /// By the default domain `*`.
        Default "default",
    }
}

/// The tag that serves a request of a domain that several tags serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChosenTag {
    /// The tag.
    pub tag: Tag,
    /// The label of the version that was deployed there; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseLabel>,
    /// Why it is this one.
    pub by: ChosenBy,
    /// By what the client is known, where shares decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SplitKey>,
    /// The tags that share the clients, in percent, the live one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<TagShare>,
}

worded! {
    /// Why a tag serves a request.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum ChosenBy {
        /// It is the live one, and no share is given to another.
        Live "live",
        /// Its client is one of its share.
        Share "share",
        /// Its client is not known yet, and would be dealt out at random: the live tag is shown.
        Chance "chance",
        /// Its client has asked for it with `X-Vhost-Tag`.
        Header "header",
        /// Its client has a preview of it.
        Preview "preview",
    }
}

/// The live tag of a domain, and since when it is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveTag {
    /// The tag.
    pub tag: Tag,
    /// The app in which it is one; absent if that is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The label of the version that was deployed there; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseLabel>,
    /// The previous tag.
    pub previous: Option<Tag>,
    /// When it became live, if the history goes back that far.
    pub since: Option<Since>,
    /// The phase of a running switch of the domain: `checking` or `draining`.
    pub switching: Option<String>,
}

/// When and by whom something was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Since {
    /// At which revision.
    pub revision: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// By whom.
    pub actor: Actor,
}

/// Whether a backend could serve a request, and why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackendStanding {
    /// The backend.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// The addresses that its name resolves to now, or its socket's path.
    pub resolved: Vec<String>,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Its share of the pool's traffic.
    pub weight: Weight,
    /// How long connecting to it may take, in milliseconds, where it has a time-out of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// The state that the operator has set.
    pub state: BackendState,
    /// Its observed health.
    pub health: HealthReport,
    /// Its requests in flight.
    pub in_flight: usize,
    /// How many requests may run on it at once; without it, any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<usize>,
    /// Why it could not serve; null if it could.
    pub unfit: Option<Unfit>,
}

/// Why a backend of a pool gets no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unfit {
    /// The operator drains it.
    Draining,
    /// The operator disabled it.
    Disabled,
    /// It is unhealthy.
    Unhealthy,
    /// Nothing is known of it, and there are healthy ones.
    Unknown,
    /// Its name has not been resolved.
    Unresolved,
    /// It is a backup, and others are fit.
    Backup,
}

/// The time-outs that apply to a request, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestTimeouts {
    /// Connecting to a backend, TLS included; a backend may have a time-out of its own.
    pub connect_ms: u64,
    /// The backend is silent before its answer begins: `timeouts.first_byte_secs` of the domain, its
    /// `timeouts.response_secs`, or the general time-out. Null from an older server.
    #[serde(default)]
    pub first_byte_ms: Option<u64>,
    /// The backend is silent within its answer: `timeouts.between_bytes_secs` of the domain, its
    /// `timeouts.response_secs`, or the general time-out. For a WebSocket, both sides are:
    /// `timeouts.websocket_idle_secs`, or the general one.
    pub read_ms: u64,
    /// The backend takes no bytes: `timeouts.between_bytes_secs` of the domain, or the general time-out.
    pub write_ms: u64,
    /// The client is silent in the middle of its body.
    pub client_read_ms: u64,
    /// The client takes no bytes.
    pub client_write_ms: u64,
    /// An unused connection to a backend is kept.
    pub idle_ms: u64,
}

/// What a client gets when no backend answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The status; 0 where the connection ends without an answer, as when a TLS handshake is refused.
    pub status: u16,
    /// The reason, as logs and counters name it.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_be_as_short_as_its_host() {
        for (text, whole) in [
            ("example.com", "http://example.com/"),
            ("example.com:8080/a?b=c#d", "http://example.com:8080/a?b=c"),
            ("HTTPS://Example.com?x", "https://Example.com/?x"),
            ("[::1]:80/x", "http://[::1]:80/x"),
            ("bücher.example/", "http://xn--bcher-kva.example/"),
            ("bücher.example:81/u", "http://xn--bcher-kva.example:81/u"),
        ] {
            assert_eq!(text.parse::<RequestUrl>().map(|url| url.to_string()), Ok(whole.into()));
        }
        for (text, part) in [
            ("", "names no host"),
            ("/path", "names no host"),
            ("ftp://example.com", "begins with `http://`"),
            ("example.com/a b", "no spaces"),
            ("bü\u{2028}cher.example/", "no spaces"),
            ("ü\u{ffff}.example", "not a name (IDNA)"),
            ("example.com/<>", "percent-encoded"),
        ] {
            let error = text.parse::<RequestUrl>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let header: HeaderLine = "Host:  example.com ".parse().unwrap();
        assert_eq!(header.to_string(), "host: example.com");
        for text in ["Host", ": x", "a b: c", "a: \u{7}"] {
            assert!(text.parse::<HeaderLine>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_url_panic(text in ".{0,200}") {
            if let Ok(url) = text.parse::<RequestUrl>() {
                proptest::prop_assert_eq!(url.to_string().parse::<RequestUrl>(), Ok(url));
            }
            let _ = text.parse::<HeaderLine>();
        }
    }
}
