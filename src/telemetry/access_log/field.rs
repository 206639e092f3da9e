//! The fields that a line may have: a row each. What the config file takes, its schema, the page of the logs
//! and what is written follow from it.

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, header};

use super::headers::LoggedHeader;
use super::line::AccessLine;
use super::value::Value;
use crate::model::{ParseError, listed, nearest};

/// A field that is a fact of each request.
#[derive(Debug)]
pub struct FieldRow {
    /// Its name in the config file and in lines.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Whether lines have it where the config file doesn't say what they have.
    pub is_usual: bool,
    pub(super) value: for<'a> fn(&AccessLine<'a>) -> Value<'a>,
}

/// All of them, in the order in which lines have them.
static ROWS: &[FieldRow] = &[
    row("time", "when the request ended, UTC", |line| Value::Time(line.time_ms)),
    row(
        "client_ip",
        "[the client](http.md#who-the-client-is): as trusted proxies in front name it, otherwise the peer; none if \
         their headers can't be read",
        |line| line.client_ip.into(),
    ),
    row(
        "peer_ip",
        "the address at the other end of the connection, also where it is the same: so every line shows whether \
         there is a proxy in front",
        |line| line.peer_ip.into(),
    ),
    row("method", "the method", |line| Value::Text(line.method.as_bytes())),
    row("host", "the host, as the client wrote it", |line| Value::text(line.host)),
    row("path", "the path, as the client wrote it", |line| Value::Target(line.path)),
    row("query", "the query, with `query = true`", |line| {
        line.query.map_or(Value::None, Value::Target)
    }),
    row("protocol", "the client's: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`", |line| {
        Value::Word(line.protocol)
    }),
    row("tls", "`TLSv1.2` or `TLSv1.3`; none on plain HTTP", |line| line.tls.into()),
    extra("tls_sni", "the name that the client asked for in its TLS handshake", |line| {
        line.tls_sni.into()
    }),
    row(
        "status",
        "the status that the client got; none if it got none, which `common` writes as `000` and `text` as `-`",
        |line| line.status.map_or(Value::None, |status| Value::Number(status.into())),
    ),
    row("bytes_in", "bytes of the request's body", |line| Value::Number(line.bytes_in)),
    row("bytes_out", "bytes of the answer's body that were sent", |line| {
        Value::Number(line.bytes_out)
    }),
    row("duration_ms", "from the end of the request's head to the end of the request", |line| {
        Value::Millis(line.duration)
    }),
    row(
        "upstream_ms",
        "from the choice of the backend to the start of its answer, or to its failure; of the last try",
        |line| line.upstream.map_or(Value::None, Value::Millis),
    ),
    row("domain", "the domain that it was routed to", |line| {
        line.domain.map_or(Value::None, Value::Domain)
    }),
    row("tag", "the tag that served it", |line| line.tag.into()),
    row("release", "the label of the version that was deployed under that tag", |line| {
        line.release.into()
    }),
    row(
        "failed_tag",
        "the tag on trial that failed it, if the old tag then served it in its place",
        |line| line.failed_tag.into(),
    ),
    row("backend_id", "the last backend that it was sent to", |line| line.backend_id.into()),
    row("tries", "how often it was sent to a backend, or an attempt was made", |line| {
        Value::Number(line.tries as u64)
    }),
    row(
        "request_id",
        "the `X-Request-Id` that the backend saw: the client's, or one that `vhost` made. None if the request got no \
         backend, its client sent none, and no header of the answer says it",
        |line| line.request_id.into(),
    ),
    row(
        "trace_id",
        "the trace of the client's `traceparent`, if that is valid (W3C Trace Context)",
        |line| line.trace_id.into(),
    ),
    row(
        "reason",
        "why it was refused or failed; none if it succeeded. A 5xx of a backend is not a failure of the request",
        |line| line.reason.into(),
    ),
    row(
        "referer",
        "the page that the client came from (`Referer`), with its query only with `query = true`",
        |line| line.referer.map_or(Value::None, Value::Text),
    ),
    row("user_agent", "the client's program (`User-Agent`)", |line| {
        line.user_agent.map_or(Value::None, Value::Text)
    }),
];

type ValueOf = for<'a> fn(&AccessLine<'a>) -> Value<'a>;

const fn row(name: &'static str, meaning: &'static str, value: ValueOf) -> FieldRow {
    FieldRow { name, meaning, is_usual: true, value }
}

/// One that lines have only where the config file names it.
const fn extra(name: &'static str, meaning: &'static str, value: ValueOf) -> FieldRow {
    FieldRow { name, meaning, is_usual: false, value }
}

/// A field that a line may have.
#[derive(Debug, Clone)]
pub struct AccessField(pub(super) FieldKind);

#[derive(Debug, Clone)]
pub(super) enum FieldKind {
    Fact(&'static FieldRow),
    OfRequest(LoggedHeader),
    OfAnswer(LoggedHeader),
}

const OF_REQUEST: &str = "request.header.";
const OF_ANSWER: &str = "response.header.";

/// The longest name of a header that is logged.
const MAX_HEADER_NAME: usize = 64;

/// The headers that are never logged: whoever has them can be taken for the client.
const SECRET: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::SET_COOKIE];

impl AccessField {
    /// The headers of which one line can have fields, those of requests and of answers together.
    pub const MAX_HEADERS: usize = 16;

    /// The rows of those that are facts.
    pub fn rows() -> &'static [FieldRow] {
        ROWS
    }

    /// What lines have where the config file doesn't say it.
    pub(super) fn usual() -> impl Iterator<Item = Self> {
        ROWS.iter().filter(|row| row.is_usual).map(|row| Self(FieldKind::Fact(row)))
    }

    /// What a name looks like, as a regular expression.
    pub(crate) fn pattern() -> String {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        let header = format!("[A-Za-z0-9!#$%&'*+.^_`|~-]{{1,{MAX_HEADER_NAME}}}");
        format!(r"{}|(request|response)\.header\.{header}", names.join("|"))
    }

    /// Whether it is one of a header.
    pub(crate) fn is_of_header(&self) -> bool {
        !matches!(self.0, FieldKind::Fact(_))
    }
}

impl PartialEq for AccessField {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (FieldKind::Fact(one), FieldKind::Fact(other)) => one.name == other.name,
            (FieldKind::OfRequest(one), FieldKind::OfRequest(other))
            | (FieldKind::OfAnswer(one), FieldKind::OfAnswer(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for AccessField {}

impl fmt::Display for AccessField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            FieldKind::Fact(row) => f.pad(row.name),
            FieldKind::OfRequest(header) => write!(f, "{OF_REQUEST}{}", header.name()),
            FieldKind::OfAnswer(header) => write!(f, "{OF_ANSWER}{}", header.name()),
        }
    }
}

impl FromStr for AccessField {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason: String| ParseError::new("field of the access log", text, reason);
        if let Some(row) = ROWS.iter().find(|row| row.name == text) {
            return Ok(Self(FieldKind::Fact(row)));
        }
        if let Some(name) = text.strip_prefix(OF_REQUEST) {
            return header(name).map(FieldKind::OfRequest).map(Self).map_err(refuse);
        }
        if let Some(name) = text.strip_prefix(OF_ANSWER) {
            return header(name).map(FieldKind::OfAnswer).map(Self).map_err(refuse);
        }
        let names = ROWS.iter().map(|row| row.name);
        let near = nearest(text, names.clone());
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let headers = [OF_REQUEST, OF_ANSWER].map(|of| format!("{of}NAME"));
        let list: Vec<_> = names.map(str::to_owned).chain(headers).collect();
        Err(refuse(format!("{near}the fields are {}", listed(&list))))
    }
}

/// A header that may be logged.
fn header(name: &str) -> Result<LoggedHeader, String> {
    let parsed = HeaderName::try_from(name).ok().filter(|_| name.len() <= MAX_HEADER_NAME);
    let Some(name) = parsed else {
        return Err(format!(
            "name a header, with at most {MAX_HEADER_NAME} letters, digits and `-`: `{OF_REQUEST}accept-language`"
        ));
    };
    if SECRET.contains(&name) {
        return Err(format!(
            "`{name}` is never logged: who can read the log could act as the client; leave it out"
        ));
    }
    Ok(LoggedHeader::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_by_its_name_and_shown_by_it() {
        for name in
            ROWS.iter().map(|row| row.name).chain(["request.header.x-a", "response.header.etag"])
        {
            let field: AccessField = name.parse().expect(name);
            assert_eq!(field.to_string(), name);
        }
        let field = |name: &str| name.parse::<AccessField>().map_err(|error| error.reason);
        assert_eq!(field("request.header.ETag"), field("request.header.etag"));
        assert_ne!(field("request.header.etag"), field("response.header.etag"));
    }

    #[test]
    fn what_is_no_field_is_refused_with_what_was_meant() {
        let refused = |name: &str| name.parse::<AccessField>().expect_err(name).reason;
        let slip = refused("cleint_ip");
        assert!(slip.starts_with("did you mean `client_ip`? the fields are `time`, "), "{slip}");
        assert!(refused("nonsense").starts_with("the fields are `time`, "));
        for secret in ["Authorization", "cookie", "Set-Cookie", "proxy-authorization"] {
            for of in [OF_REQUEST, OF_ANSWER] {
                assert!(refused(&format!("{of}{secret}")).contains("is never logged"), "{secret}");
            }
        }
        for name in ["", "a b", "a:b", &"x".repeat(MAX_HEADER_NAME + 1)] {
            assert!(refused(&format!("{OF_REQUEST}{name}")).starts_with("name a header"), "{name}");
        }
    }

    #[test]
    fn no_name_is_there_twice() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, other| one != other), "{names:?}");
    }
}
