//! What a method answered becomes a response.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LINK, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;

use super::input::LIVE_WORD;
use super::revision::{etag, is_known};
use super::routes::{Done, Operation};
use crate::model::printable_json;

/// The word of the methods for the tag that serves a domain, in what they answer.
pub(super) const LIVE: &str = "live";

/// The methods whose answers are of virtual hosts.
pub(super) const OF_DOMAINS: &str = "domain.";

/// The response that `operation` is done with.
pub(super) fn done(
    operation: &Operation,
    mut result: Value,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    in_words(operation, &mut result);
    let revision = result["revision"].as_u64();
    let mut response = match operation.done {
        Done::State if revision.is_some_and(|revision| is_known(headers, revision)) => {
            StatusCode::NOT_MODIFIED.into_response()
        }
        Done::Gone => StatusCode::NO_CONTENT.into_response(),
        Done::State | Done::Shown | Done::Created => {
            let kind = HeaderValue::from_static("application/json");
            (operation.done.status(), [(CONTENT_TYPE, kind)], json_text(&result)).into_response()
        }
    };
    let headers = response.headers_mut();
    let mut say = |name, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    };
    say(ETAG, revision.map(etag));
    // Health and counts change without a revision: what is kept is asked about each time.
    say(CACHE_CONTROL, Some("no-cache".to_owned()));
    say(LOCATION, location(operation, &result, uri));
    say(LINK, next_page(&result, uri));
    response
}

/// A value as JSON that a terminal can show: `curl` prints what it gets, and strangers' words may be in it.
pub(super) fn json_text(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    printable_json(&text).into_owned()
}

/// Writes the tag that serves a domain as the config file does.
fn in_words(operation: &Operation, result: &mut Value) {
    if !operation.method.starts_with(OF_DOMAINS) {
        return;
    }
    let rename = |domain: &mut Value| {
        if let Some(domain) = domain.as_object_mut()
            && let Some(live) = domain.remove(LIVE)
        {
            domain.insert(LIVE_WORD.to_owned(), live);
        }
    };
    rename(result);
    if let Some(domains) = result.get_mut("domains").and_then(Value::as_array_mut) {
        domains.iter_mut().for_each(rename);
    }
}

/// Where what was made is. Names and ids have no character that a path would escape.
fn location(operation: &Operation, result: &Value, uri: &Uri) -> Option<String> {
    let name = result.get("domain").or_else(|| result.get("id"))?.as_str()?;
    (operation.done == Done::Created).then(|| format!("{}/{name}", uri.path()))
}

/// Where the next page is (RFC 8288).
fn next_page(result: &Value, uri: &Uri) -> Option<String> {
    let next = result.get("next")?.as_str()?;
    let query = uri.query().unwrap_or_default();
    let kept = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("after="));
    let query: Vec<String> = kept.map(str::to_owned).chain([format!("after={next}")]).collect();
    Some(format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&")))
}
