//! Requests that a new version must answer as expected before it is live.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BackendId, DomainName};

/// The most requests of one list: each goes to every backend.
pub const MAX_SMOKE_REQUESTS: usize = 100;

/// The bytes of a body that are looked at.
pub const MAX_SMOKE_BODY: usize = 1 << 20;

/// The longest that an answer may be given, in milliseconds.
const MAX_ANSWER_MS: u64 = 3_600_000;

/// The characters of a text that a failure repeats.
const MAX_SHOWN: usize = 100;

/// Requests that a new version must answer as expected, in their order. Each has been checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<SmokeRequest>")]
#[schemars(with = "Vec<SmokeRequest>")]
pub struct SmokeRequests(Vec<SmokeRequest>);

// JSON has no number that differs from itself.
impl Eq for SmokeRequests {}

/// A request that a new version must answer as expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmokeRequest {
    /// Its path, with its query.
    pub path: String,
    /// Its method.
    #[serde(default = "get", skip_serializing_if = "is_get")]
    pub method: String,
    /// The host that it is for. The default is each domain that moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<DomainName>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What the answer must be.
    #[serde(default, skip_serializing_if = "SmokeExpectation::is_default")]
    pub expect: SmokeExpectation,
}

/// What an answer must be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmokeExpectation {
    /// Its status. The default is any from 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers that it must have, each with a text that must be in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A text that must be in its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What must be at places of its JSON, by their pointers (RFC 6901).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
    /// How long it may take until its end, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_ms: Option<u64>,
}

/// A request that a backend did not answer as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SmokeFailure {
    /// The backend.
    pub backend: BackendId,
    /// The host that the request was for.
    pub host: DomainName,
    /// The request, as its method and path.
    pub request: String,
    /// What is wrong with its answer.
    pub fault: String,
}

/// An answer as it came.
#[derive(Debug)]
pub struct SmokeAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

fn get() -> String {
    Method::GET.to_string()
}

fn is_get(method: &String) -> bool {
    method == Method::GET.as_str()
}

impl SmokeExpectation {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with an answer, if anything is.
    pub fn fault_of(&self, answer: &SmokeAnswer) -> Option<String> {
        let status = answer.status;
        match self.status {
            Some(wanted) if status.as_u16() != wanted => {
                return Some(format!("its status is {}, not {wanted}", status.as_u16()));
            }
            None if !status.is_success() => {
                return Some(format!("its status is {}, not 200 to 299", status.as_u16()));
            }
            _ => {}
        }
        for (name, text) in &self.headers {
            let mut values = answer.headers.get_all(name.as_str()).iter().peekable();
            if values.peek().is_none() {
                return Some(format!("it has no header `{name}`"));
            }
            let values: Vec<_> =
                values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            if !values.iter().any(|value| value.contains(text.as_str())) {
                let values = shown(&values.join(", "));
                return Some(format!(
                    "its header `{name}` is `{values}`, without `{}`",
                    shown(text)
                ));
            }
        }
        if let Some(text) = &self.text
            && memchr::memmem::find(&answer.body, text.as_bytes()).is_none()
        {
            return Some(format!("`{}` is not in its body", shown(text)));
        }
        self.json_fault(&answer.body).or_else(|| {
            let most = self.max_ms.map(Duration::from_millis).filter(|most| answer.took > *most)?;
            Some(format!(
                "it took {} ms, longer than {}",
                answer.took.as_millis(),
                most.as_millis()
            ))
        })
    }

    fn json_fault(&self, body: &[u8]) -> Option<String> {
        if self.json.is_empty() {
            return None;
        }
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            let what = if body.len() < MAX_SMOKE_BODY { "not JSON" } else { "longer than 1 MiB" };
            return Some(format!("its body is {what}"));
        };
        self.json.iter().find_map(|(pointer, wanted)| match json.pointer(pointer) {
            None => Some(format!("its JSON has nothing at `{pointer}`")),
            Some(there) if there != wanted => {
                let there = shown(&there.to_string());
                Some(format!(
                    "at `{pointer}` its JSON has {there}, not {}",
                    shown(&wanted.to_string())
                ))
            }
            Some(_) => None,
        })
    }

    fn check(&self) -> Result<(), String> {
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Err(format!("`expect.status`: `{status}` ends no answer; use 200 to 599"));
        }
        if self.max_ms.is_some_and(|most| !(1..=MAX_ANSWER_MS).contains(&most)) {
            return Err(format!("`expect.max_ms`: use 1 to {MAX_ANSWER_MS}, an hour"));
        }
        if let Some(pointer) = self.json.keys().find(|key| !key.is_empty() && !key.starts_with('/'))
        {
            return Err(format!("`expect.json`: a pointer begins with `/`, as `/{pointer}` does"));
        }
        self.headers.keys().try_for_each(|name| name_of("expect.headers", name).map(drop))
    }
}

impl SmokeRequest {
    /// What it is, in a few words.
    pub fn named(&self) -> String {
        format!("{} {}", self.method, shown(&self.path))
    }

    /// Its headers, as they are sent.
    pub fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let field = |(name, value): (&String, &String)| {
            Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?))
        };
        self.headers.iter().filter_map(field)
    }

    fn check(&self) -> Result<(), String> {
        if !self.path.starts_with('/') {
            return Err(format!("`path`: `{}` does not begin with `/`", shown(&self.path)));
        }
        if self.path.parse::<http::uri::PathAndQuery>().is_err() || self.path.contains('#') {
            return Err(format!(
                "`path`: `{}` has what a path can't have; write it percent-encoded",
                shown(&self.path)
            ));
        }
        match self.method.parse::<Method>() {
            Ok(Method::CONNECT) | Err(_) => {
                return Err(format!("`method`: `{}` can't be tried so", shown(&self.method)));
            }
            Ok(_) => {}
        }
        for (name, value) in &self.headers {
            let name = name_of("headers", name)?;
            if name == http::header::HOST {
                return Err("`headers`: the host is given by `host`".to_owned());
            }
            if name == http::header::CONTENT_LENGTH || name == http::header::TRANSFER_ENCODING {
                return Err(format!("`headers`: `{name}` follows from the body"));
            }
            if HeaderValue::from_str(value).is_err() {
                return Err(format!("`headers`: the value of `{name}` can't be that of a header"));
            }
        }
        self.expect.check()
    }
}

fn name_of(key: &str, name: &str) -> Result<HeaderName, String> {
    name.parse().map_err(|_| format!("`{key}`: `{}` is no name of a header", shown(name)))
}

fn shown(text: &str) -> String {
    super::shorten(text, MAX_SHOWN)
}

impl SmokeRequests {
    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SmokeRequest> {
        self.0.iter()
    }
}

impl TryFrom<Vec<SmokeRequest>> for SmokeRequests {
    type Error = String;

    fn try_from(requests: Vec<SmokeRequest>) -> Result<Self, String> {
        if requests.is_empty() {
            return Err("there is no request".to_owned());
        }
        if requests.len() > MAX_SMOKE_REQUESTS {
            let given = requests.len();
            return Err(format!("{given} requests are given; at most {MAX_SMOKE_REQUESTS} may be"));
        }
        for (place, request) in requests.iter().enumerate() {
            let named = |fault| format!("request {} ({}): {fault}", place + 1, request.named());
            request.check().map_err(named)?;
        }
        Ok(Self(requests))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn requests(of: &Value) -> Result<SmokeRequests, String> {
        serde_json::from_value(json!([of])).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_sent_or_met_is_refused_by_name() {
        for (of, part) in [
            (json!({"path": "up"}), "request 1 (GET up): `path`: `up` does not begin with `/`"),
            (json!({"path": "/a b"}), "percent-encoded"),
            (json!({"path": "/#top"}), "percent-encoded"),
            (json!({"path": "/", "method": "CONNECT"}), "`method`: `CONNECT`"),
            (json!({"path": "/", "method": "A B"}), "`method`: `A B`"),
            (json!({"path": "/", "headers": {"Host": "x"}}), "by `host`"),
            (json!({"path": "/", "headers": {"content-length": "1"}}), "follows from the body"),
            (json!({"path": "/", "headers": {"a b": "1"}}), "`headers`: `a b` is no name"),
            (json!({"path": "/", "headers": {"a": "1\n2"}}), "value of `a`"),
            (json!({"path": "/", "expect": {"status": 100}}), "use 200 to 599"),
            (json!({"path": "/", "expect": {"max_ms": 0}}), "use 1 to 3600000"),
            (json!({"path": "/", "expect": {"json": {"a": 1}}}), "as `/a` does"),
            (json!({"path": "/", "expect": {"headers": {"a b": ""}}}), "`expect.headers`"),
            (json!({"path": "/", "expect": {"code": 200}}), "unknown field `code`"),
            (json!({"method": "GET"}), "missing field `path`"),
        ] {
            let error = requests(&of).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let none: Result<SmokeRequests, _> = serde_json::from_value(json!([]));
        assert!(none.is_err());
        let many: Vec<_> = (0..=MAX_SMOKE_REQUESTS).map(|_| json!({"path": "/"})).collect();
        let error = serde_json::from_value::<SmokeRequests>(json!(many)).unwrap_err();
        assert!(error.to_string().contains("101 requests are given; at most 100"), "{error}");
    }

    #[test]
    fn the_first_fault_of_an_answer_is_named() {
        let answer = SmokeAnswer {
            status: StatusCode::OK,
            headers: [(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            )]
            .into_iter()
            .collect(),
            body: br#"{"status": "ok", "list": [1, 2]}"#.to_vec(),
            took: Duration::from_millis(20),
        };
        for (expected, fault) in [
            (json!({}), None),
            (json!({"status": 200}), None),
            (json!({"status": 302}), Some("its status is 200, not 302")),
            (json!({"headers": {"content-type": "text/html"}}), None),
            (
                json!({"headers": {"Content-Type": "json"}}),
                Some("is `text/html; charset=utf-8`, without `json`"),
            ),
            (json!({"headers": {"x-other": ""}}), Some("it has no header `x-other`")),
            (json!({"text": "\"ok\""}), None),
            (json!({"text": "Welcome"}), Some("`Welcome` is not in its body")),
            (json!({"json": {"/status": "ok", "/list/1": 2}}), None),
            (
                json!({"json": {"/status": "bad"}}),
                Some("at `/status` its JSON has \"ok\", not \"bad\""),
            ),
            (json!({"json": {"/list/2": 2}}), Some("nothing at `/list/2`")),
            (json!({"max_ms": 20}), None),
            (json!({"max_ms": 19}), Some("it took 20 ms, longer than 19")),
        ] {
            let expected: SmokeExpectation = serde_json::from_value(expected).unwrap();
            let found = expected.fault_of(&answer);
            match fault {
                None => assert_eq!(found, None),
                Some(part) => assert!(found.as_ref().unwrap().contains(part), "{found:?}"),
            }
        }
        let other = SmokeAnswer { status: StatusCode::FOUND, body: b"<html>".to_vec(), ..answer };
        let any = SmokeExpectation::default().fault_of(&other);
        assert_eq!(any.as_deref(), Some("its status is 302, not 200 to 299"));
        let expected = json!({"status": 302, "json": {"": {}}});
        let expected: SmokeExpectation = serde_json::from_value(expected).unwrap();
        assert_eq!(expected.fault_of(&other).as_deref(), Some("its body is not JSON"));
    }
}
