//! Answers of the proxy's own, sent whole.

use http::Method;
use pingora::Result;

use crate::heads::ResponseHead;
use crate::heads::names::{CONTENT_LENGTH, CONTENT_TYPE};
use crate::proxy::client::downstream::Downstream;
use crate::proxy::host::Host;
use crate::proxy::host::content::Content;
use crate::proxy::host::headers::Came;

/// Sends an answer in the name of a host and keeps the connection, if the client keeps its part.
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn send(
    session: &mut impl Downstream,
    mut response: ResponseHead,
    content: Content,
    host: Host<'_>,
) -> Result<()> {
    response.headers.insert(CONTENT_TYPE, content.kind);
    response.headers.insert(CONTENT_LENGTH, itoa::Buffer::new().format(content.bytes.len()));
    host.finish(&mut response, Came::of(session));
    // The client may send the body that it asked about, or never; and what follows CONNECT may
    // be no request at all.
    if !session.is_body_read() || session.request().method == Method::CONNECT {
        session.close_after();
    }
    let has_body = session.request().method != Method::HEAD;
    session.answer(response, has_body.then_some(content.bytes)).await
}
