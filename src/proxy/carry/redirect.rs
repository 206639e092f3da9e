//! Answers that send clients elsewhere, and those that a CA wants to see.

use bytes::Bytes;
use http::StatusCode;
use pingora::Result;

use super::answer::send;
use crate::heads::ResponseHead;
use crate::heads::names::{CACHE_CONTROL, LOCATION, SET_COOKIE, X_ROBOTS_TAG};
use crate::proxy::client::downstream::Downstream;
use crate::proxy::host::Host;
use crate::proxy::host::content::Content;
use crate::proxy::host::preview::Pinned;

/// Sends the client elsewhere for good, with its method and body (RFC 9110 §15.4.9).
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn redirect(
    session: &mut impl Downstream,
    location: String,
    host: Host<'_>,
) -> Result<()> {
    let mut response = ResponseHead::new(StatusCode::PERMANENT_REDIRECT);
    let content = Content::text(Bytes::from(format!("this site is served at {location}\n")));
    response.headers.insert(LOCATION, location);
    send(session, response, content, host).await
}

/// Sends a browser on that has followed a link to a preview, with its cookie and without the link's token.
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn pin(
    session: &mut impl Downstream,
    pinned: Pinned,
    host: Host<'_>,
) -> Result<()> {
    let mut response = ResponseHead::new(StatusCode::SEE_OTHER);
    response.headers.insert(CACHE_CONTROL, "no-store");
    response.headers.insert(X_ROBOTS_TAG, "noindex");
    response.headers.insert(SET_COOKIE, pinned.cookie);
    let content = Content::text(Bytes::from(format!("go on at {}\n", pinned.location)));
    response.headers.insert(LOCATION, pinned.location);
    send(session, response, content, host).await
}

/// Answers a CA.
///
/// # Errors
/// When it takes no answer any more.
pub(crate) async fn prove(session: &mut impl Downstream, answer: &str) -> Result<()> {
    let mut response = ResponseHead::new(StatusCode::OK);
    response.headers.insert(CACHE_CONTROL, "no-store");
    let content = Content::text(Bytes::copy_from_slice(answer.as_bytes()));
    send(session, response, content, Host::none()).await
}
