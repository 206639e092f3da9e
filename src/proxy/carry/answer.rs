//! Answers of the proxy's own, sent whole.

use http::{Method, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::proxy::client::downstream::Downstream;
use crate::proxy::host::Host;
use crate::proxy::host::content::Content;

/// Sends an answer in the name of a host and keeps the connection, if the client keeps its part.
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn send(
    session: &mut impl Downstream,
    mut response: ResponseHeader,
    content: Content,
    host: Host<'_>,
) -> Result<()> {
    response.insert_header(header::CONTENT_TYPE, content.kind)?;
    response.insert_header(header::CONTENT_LENGTH, content.bytes.len())?;
    host.finish(&mut response)?;
    // The client may send the body that it asked about, or never; and what follows CONNECT may
    // be no request at all.
    if !session.is_body_read() || session.request().method == Method::CONNECT {
        session.close_after();
    }
    let has_body = session.request().method != Method::HEAD;
    session.answer(response, has_body.then_some(content.bytes)).await
}
