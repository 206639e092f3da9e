//! What a request asks for: path, query and body become a method's parameters.

use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemars::SchemaGenerator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::operation::{Operation, Takes};
use super::problem::Problem;
use super::shapes::LIVE_TAG;
use crate::model::record::optional_keys;
use crate::model::{BackendOptions, ValueError, nearest, read_value, shorten};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::Method;
use crate::rpc::read_json;

/// The longest body, in bytes: room for a virtual host with some thousand aliases.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What `tls` of a domain can be.
const TLS_SHAPES: &str = "give `\"auto\"`, `\"internal\"`, `\"off\"`, or files by their whole paths: \
                          `{\"files\": {\"cert\": \"/etc/ssl/web.pem\", \"key\": \"/etc/ssl/web.key\"}}`";

/// The parameters of `M`, from all that a request gives, which `G` reads.
pub(super) fn params<M, G>(given: Map<String, Value>) -> Result<Value, Problem>
where
    M: Method,
    G: DeserializeOwned + Serialize,
{
    let given: G = parsed(Value::Object(given))?;
    let params = serde_json::to_value(given).map_err(|_| Problem::internal())?;
    parsed::<M::Params>(params.clone())?;
    Ok(params)
}

fn parsed<P: DeserializeOwned>(value: Value) -> Result<P, Problem> {
    read_value(value).map_err(|error: ValueError| {
        let problem = Problem::invalid(error.to_string());
        let is_of_tls = error.path == "tls" || error.path.starts_with("tls.");
        if is_of_tls { problem.hint(TLS_SHAPES) } else { problem }
    })
}

/// All that a request gives to an operation, by name.
pub(super) async fn given(
    operation: &Operation,
    path: Map<String, Value>,
    head: &http::request::Parts,
    body: Body,
) -> Result<Map<String, Value>, Problem> {
    let schema = (operation.given)(&mut SchemaGenerator::default());
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let mut given = match operation.takes {
        Takes::Path => Map::new(),
        Takes::Query => of_query(head.uri.query().unwrap_or_default(), properties)?,
        Takes::Body => read_body(&head.headers, body, false).await?,
        Takes::OptionalBody => read_body(&head.headers, body, true).await?,
    };
    let known: Vec<&str> =
        properties.keys().map(String::as_str).filter(|name| !path.contains_key(*name)).collect();
    if let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown(name, &known, &path));
    }
    if head.method == http::Method::PUT {
        no_idle_null(&given)?;
    }
    given.extend(path.into_iter().map(|(name, value)| {
        let value = value.as_str().map_or(Value::Null, |text| typed(text, properties.get(&name)));
        (name, value)
    }));
    Ok(given)
}

/// The members of a query. Each has the type that its property has; what can't have it stays a text.
fn of_query(query: &str, properties: &Map<String, Value>) -> Result<Map<String, Value>, Problem> {
    let mut members = Map::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let value = typed(&text, properties.get(&*name));
        if members.insert(name.to_string(), value).is_some() {
            return Err(Problem::invalid(format!("duplicate field `{}`", shorten(&name, 80))));
        }
    }
    Ok(members)
}

/// The value of a property that is written as plain text.
pub(super) fn typed(text: &str, property: Option<&Value>) -> Value {
    let kinds = property.and_then(|property| property.get("type"));
    let is_text = |kind: &Value| !["integer", "number", "boolean"].iter().any(|k| kind == k);
    let is_text = match kinds {
        Some(Value::Array(kinds)) => kinds.iter().all(is_text),
        kind => kind.is_none_or(is_text),
    };
    let value = if is_text { None } else { serde_json::from_str(text).ok() };
    let value = value.filter(|value: &Value| value.is_number() || value.is_boolean());
    value.unwrap_or_else(|| text.into())
}

/// Refuses null where it takes nothing away: what is not given stays as it is, and null would too.
fn no_idle_null(given: &Map<String, Value>) -> Result<(), Problem> {
    let is_idle = |(name, value): &(&String, &Value)| value.is_null() && !takes_null(name);
    match given.iter().find(is_idle) {
        Some((name, _)) => Err(Problem::invalid(format!("`{name}` can't be null"))
            .hint("leave it out, and it stays as it is; or give what it is to be")),
        None => Ok(()),
    }
}

/// Whether null takes the option of this name away.
pub(super) fn takes_null(name: &str) -> bool {
    optional_keys::<BackendOptions>().contains(&name)
}

fn unknown(name: &str, known: &[&str], path: &Map<String, Value>) -> Problem {
    if let (LIVE_TAG, Some(domain)) = (name, path.get("domain").and_then(Value::as_str)) {
        let problem = Problem::invalid(format!("`{LIVE_TAG}` is not an option of a domain"));
        return problem.hint(format!(
            "a switch moves it, through the gate: POST /api/v1/domains/{domain}/switch with \
             {{\"tag\": …}}"
        ));
    }
    let problem = Problem::invalid(format!("unknown field `{}`", shorten(name, 80)));
    problem.hint(match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    })
}

/// Reads the members of a body.
async fn read_body(
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
        let detail = format!("a body has at most {MAX_BODY_BYTES} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, FaultKind::Invalid, detail)
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > MAX_BODY_BYTES as u64) {
        return Err(too_long());
    }
    let reading = Limited::new(body, MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(error)) => {
            let detail = format!("the body cannot be read: {error}");
            Err(Problem::new(StatusCode::BAD_REQUEST, FaultKind::Invalid, detail))
        }
        Err(_) => {
            let detail = format!("the body did not come within {} s", BODY_TIMEOUT.as_secs());
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
