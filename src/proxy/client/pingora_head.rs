//! Heads as Pingora has them, for the requests that it carries.

use std::sync::Arc;

use h2::ext::Protocol;
use http::uri::Uri;
use http::{HeaderValue, Method};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType, OrErr, Result};

use crate::heads::{RequestHead, ResponseHead, Scheme};

/// Reads a request that Pingora has.
pub(crate) fn request_of(header: &RequestHeader) -> RequestHead {
    let mut head = if header.has_case() {
        let mut head = RequestHead::of_parts(header);
        for (name, value) in header.case_header_iter() {
            head.headers.append_as(name.as_slice(), value.as_bytes());
        }
        head
    } else {
        RequestHead::of_http2(header)
    };
    if head.target() != header.raw_path() {
        head.set_target(header.raw_path());
    }
    head
}

/// Makes of a request what Pingora takes.
///
/// # Errors
/// Never: what was read, or is added, can be held.
pub(crate) fn pingora_request(head: &RequestHead) -> Result<RequestHeader> {
    let count = Some(head.headers.len());
    let mut header = RequestHeader::build(head.method.clone(), head.target(), count)?;
    header.set_version(head.version);
    if let Some(authority) = head.authority() {
        let uri = Uri::builder()
            .scheme(head.scheme().map_or("http", Scheme::as_str))
            .authority(authority)
            .path_and_query(head.path_and_query())
            .build();
        header.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "its target is not a URI")?);
    }
    for (name, value) in head.headers.iter() {
        header.append_header(name.to_owned(), value_of(value)?)?;
    }
    if head.is_websocket() {
        header.extensions_mut().insert(Protocol::from_static("websocket"));
    }
    Ok(header)
}

/// Reads an answer that Pingora has.
pub(crate) fn response_of(header: &ResponseHeader) -> ResponseHead {
    let mut head = ResponseHead::new(header.status);
    head.version = header.version;
    if let Some(reason) = header.get_reason_phrase() {
        head.set_reason(reason);
    }
    if header.has_case() {
        for (name, value) in header.case_header_iter() {
            head.headers.append_as(name.as_slice(), value.as_bytes());
        }
    } else {
        for (name, value) in &header.headers {
            head.headers.append(name, value);
        }
    }
    head
}

/// Makes of an answer what Pingora takes.
///
/// # Errors
/// Never: what was read, or is added, can be held.
pub(crate) fn pingora_response(head: &ResponseHead) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(head.status, Some(head.headers.len()))?;
    header.set_version(head.version);
    header.set_reason_phrase(Some(head.reason()))?;
    for (name, value) in head.headers.iter() {
        header.append_header(name.to_owned(), value_of(value)?)?;
    }
    Ok(header)
}

fn value_of(value: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(value).or_err(ErrorType::InvalidHTTPHeader, "the value of a field")
}

/// What our own stages see of a request that Pingora has: kept beside it, as one of its extensions.
pub(crate) fn attach(header: &mut RequestHeader) {
    let head = Arc::new(request_of(header));
    header.extensions_mut().insert(head);
}

/// The request as our own stages see it.
pub(crate) fn attached(header: &RequestHeader) -> Option<&RequestHead> {
    header.extensions.get::<Arc<RequestHead>>().map(|head| &**head)
}

/// Where our own stages put it right.
pub(crate) fn attached_mut(header: &mut RequestHeader) -> &mut RequestHead {
    if attached(header).is_none() {
        attach(header);
    }
    let unread = || Arc::new(RequestHead::new(Method::GET, b"/"));
    Arc::make_mut(header.extensions_mut().get_or_insert_with(unread))
}

/// Gives Pingora the request as our own stages have left it.
///
/// # Errors
/// Never: what was read, or is added, can be held.
pub(crate) fn hand_back(header: &mut RequestHeader) -> Result<()> {
    if let Some(head) = header.extensions_mut().remove::<Arc<RequestHead>>() {
        *header = pingora_request(&head)?;
        header.extensions_mut().insert(head);
    }
    Ok(())
}
