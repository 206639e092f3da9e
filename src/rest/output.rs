//! What a method answered becomes a response.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LINK, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::Value;

use super::json_text::json_text;
use super::operation::{Done, Operation};
use super::problem::Problem;
use super::revision::{etag, is_known};

/// The response that `operation` is done with.
pub(super) fn done(
    operation: &Operation,
    result: Value,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    let Ok(result) = (operation.answer)(result) else {
        return Problem::internal().into_response();
    };
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

/// Where what was made is. Names and ids have no character that a path would escape.
fn location(operation: &Operation, result: &Value, uri: &Uri) -> Option<String> {
    let number = result.get("id").filter(|id| id.is_number());
    let name = match (number, result.get("domain").or_else(|| result.get("id"))) {
        (Some(number), _) => number.to_string(),
        (None, name) => name?.as_str()?.to_owned(),
    };
    (operation.done == Done::Created).then(|| format!("{}/{name}", uri.path()))
}

/// Where the next page is (RFC 8288).
fn next_page(result: &Value, uri: &Uri) -> Option<String> {
    let next = result.get("next")?.as_str()?;
    let query = uri.query().unwrap_or_default().as_bytes();
    let kept = form_urlencoded::parse(query).filter(|(name, _)| name != "after");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("after", next)
        .finish();
    Some(format!("<{}?{query}>; rel=\"next\"", uri.path()))
}
