//! What a request asks for: path, query and body become a method's parameters.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::shapes::{Remove, Stats, Switch, Undo};
use crate::model::record::optional_keys;
use crate::model::{BackendOptions, nearest, shorten};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::stats::GetParams;
use crate::rpc::read_json;

/// The longest body, in bytes: room for a virtual host with some thousand aliases.
pub(super) const LONGEST_BODY: usize = 256 * 1024;

/// How long a client may take to send a body.
const SLOWEST_BODY: Duration = Duration::from_secs(10);

/// The word of the config file for the tag that serves a domain, and that of the methods.
pub(super) const LIVE_WORD: &str = "enabled_backends_tag";

/// What a request gives.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// What stands in the path, by the names in the route.
    pub(super) path: Map<String, Value>,
    /// The path and the query as they came.
    pub(super) uri: Uri,
    /// The members of the body; none when it is empty.
    pub(super) body: Map<String, Value>,
}

/// The path is all.
pub(super) fn path<P: DeserializeOwned>(given: Given) -> Result<Value, Problem> {
    checked::<P>(given.path)
}

/// The query is what the method takes.
pub(super) fn query<P: DeserializeOwned + Serialize>(given: Given) -> Result<Value, Problem> {
    let uri = given.uri;
    let params: P = of_query(&uri)?;
    serde_json::to_value(params).map_err(|error| Problem::invalid(error.to_string()))
}

/// The body has what the path leaves of what the method takes.
pub(super) fn body<P: DeserializeOwned + JsonSchema>(given: Given) -> Result<Value, Problem> {
    let Given { path, body, .. } = given;
    known_only::<P>(&path, &body)?;
    checked::<P>(path.into_iter().chain(body).collect())
}

/// A new virtual host: the body has the config file's word for its tag.
pub(super) fn new_domain<P: DeserializeOwned + JsonSchema>(given: Given) -> Result<Value, Problem> {
    let mut body = given.body;
    if body.contains_key("tag") {
        return Err(unknown("tag", &[LIVE_WORD.to_owned()]));
    }
    let Some(tag) = body.remove(LIVE_WORD) else {
        let problem = Problem::invalid(format!("`{LIVE_WORD}` is missing"));
        return Err(problem.hint("name the tag of the backends that serve the domain"));
    };
    body.insert("tag".to_owned(), tag);
    known_only::<P>(&Map::new(), &body)
        .and_then(|()| checked::<P>(body))
        .map_err(|problem| problem.in_words("tag", LIVE_WORD))
}

/// Options of a virtual host. Its tag is none of them.
pub(super) fn set_domain<P: DeserializeOwned + JsonSchema>(given: Given) -> Result<Value, Problem> {
    if given.body.contains_key(LIVE_WORD) {
        let problem = Problem::invalid(format!("`{LIVE_WORD}` is not an option of a domain"));
        let domain = given.path.get("domain").and_then(Value::as_str).unwrap_or("{domain}");
        return Err(problem.hint(format!(
            "a switch moves it, through the gate: POST /api/v1/domains/{domain}/switch with \
             {{\"tag\": …}}"
        )));
    }
    known_only::<P>(&given.path, &given.body)?;
    no_idle_null(&given.body, &[])?;
    body::<P>(given)
}

/// What changes of a backend: null takes away what need not be there.
pub(super) fn set_backend<P: DeserializeOwned + JsonSchema>(
    given: Given,
) -> Result<Value, Problem> {
    known_only::<P>(&given.path, &given.body)?;
    no_idle_null(&given.body, &optional_keys::<BackendOptions>())?;
    body::<P>(given)
}

pub(super) fn switch<P: DeserializeOwned>(given: Given) -> Result<Value, Problem> {
    let domain = given.path.get("domain").cloned();
    let switch: Switch = of_body(&given.path, given.body)?;
    let tag = switch.tag.clone();
    let params = json!({ "domains": [domain], "tag": tag, "options": switch.options() });
    checked::<P>(members(params)).map_err(|problem| problem.in_words("domains[0]", "domain"))
}

pub(super) fn undo<P: DeserializeOwned>(given: Given) -> Result<Value, Problem> {
    let domain = given.path.get("domain").cloned();
    let undo: Undo = of_body(&given.path, given.body)?;
    checked::<P>(members(json!({ "domain": domain, "options": undo.options() })))
}

pub(super) fn remove_backend<P: DeserializeOwned>(given: Given) -> Result<Value, Problem> {
    let remove: Remove = of_query(&given.uri)?;
    checked::<P>(given.path.into_iter().chain(members(remove.members())).collect())
}

pub(super) fn stats(given: Given) -> Result<Value, Problem> {
    let Given { uri, .. } = given;
    let stats: Stats = of_query(&uri)?;
    serde_json::to_value(GetParams::from(stats))
        .map_err(|error| Problem::invalid(error.to_string()))
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn of_query<P: DeserializeOwned>(uri: &Uri) -> Result<P, Problem> {
    let read = Query::<P>::try_from_uri(uri);
    read.map(|Query(params)| params).map_err(|wrong| {
        let text = wrong.body_text();
        let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Problem::invalid(format!("the query is wrong: {text}"))
    })
}

fn of_body<B: DeserializeOwned + JsonSchema>(
    path: &Map<String, Value>,
    body: Map<String, Value>,
) -> Result<B, Problem> {
    known_only::<B>(path, &body)?;
    parsed(&Value::Object(body))
}

/// The parameters as they are, if they are the method's.
fn checked<P: DeserializeOwned>(params: Map<String, Value>) -> Result<Value, Problem> {
    let params = Value::Object(params);
    parsed::<P>(&params)?;
    Ok(params)
}

/// Reads a value; what is wrong is told with where it stands.
fn parsed<P: DeserializeOwned>(value: &Value) -> Result<P, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (place, cause) = (error.path().to_string(), error.into_inner());
        Problem::invalid(match place.as_str() {
            "." => cause.to_string(),
            place => format!("`{place}`: {cause}"),
        })
    })
}

/// Refuses members that nobody reads, by name.
fn known_only<B: JsonSchema>(
    path: &Map<String, Value>,
    body: &Map<String, Value>,
) -> Result<(), Problem> {
    let schema = B::json_schema(&mut SchemaGenerator::default());
    let properties = schema.get("properties").and_then(Value::as_object);
    let known: Vec<String> = properties
        .into_iter()
        .flat_map(Map::keys)
        .filter(|name| !path.contains_key(*name))
        .cloned()
        .collect();
    match body.keys().find(|name| !known.contains(name)) {
        Some(name) => Err(unknown(name, &known)),
        None => Ok(()),
    }
}

/// Refuses null where it takes nothing away: what is not given stays as it is, and null would too.
fn no_idle_null(body: &Map<String, Value>, takes_away: &[&str]) -> Result<(), Problem> {
    let is_idle =
        |(name, value): &(&String, &Value)| value.is_null() && !takes_away.contains(&name.as_str());
    match body.iter().find(is_idle) {
        Some((name, _)) => Err(Problem::invalid(format!("`{name}` can't be null"))
            .hint("leave it out, and it stays as it is; or give what it is to be")),
        None => Ok(()),
    }
}

fn unknown(name: &str, known: &[String]) -> Problem {
    let problem = Problem::invalid(format!("unknown field `{}`", shorten(name, 80)));
    problem.hint(match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    })
}

/// Reads the members of a body.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    may_be_empty: bool,
) -> Result<Map<String, Value>, Problem> {
    let bytes = bytes(headers, body).await?;
    if bytes.is_empty() && may_be_empty {
        return Ok(Map::new());
    }
    if !is_json(headers) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let problem = Problem::new(status, FaultKind::Invalid, "the body is not said to be JSON");
        return Err(problem.hint("send `Content-Type: application/json`"));
    }
    let malformed = |detail: String| {
        let problem = Problem::new(StatusCode::BAD_REQUEST, FaultKind::Invalid, detail);
        problem.hint("send one JSON object")
    };
    match read_json(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(malformed("the body is not an object".to_owned())),
        Err(error) => Err(malformed(format!("the body is not JSON: {error}"))),
    }
}

async fn bytes(headers: &HeaderMap, body: Body) -> Result<bytes::Bytes, Problem> {
    let too_long = || {
        let detail = format!("a body has at most {LONGEST_BODY} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, FaultKind::Invalid, detail)
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > LONGEST_BODY as u64) {
        return Err(too_long());
    }
    let reading = Limited::new(body, LONGEST_BODY).collect();
    match tokio::time::timeout(SLOWEST_BODY, reading).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(error)) => {
            let detail = format!("the body cannot be read: {error}");
            Err(Problem::new(StatusCode::BAD_REQUEST, FaultKind::Invalid, detail))
        }
        Err(_) => {
            let detail = format!("the body did not come within {} s", SLOWEST_BODY.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, FaultKind::Timeout, detail))
        }
    }
}

/// `application/json`, or a type that is JSON by its suffix (RFC 6839 §3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}
