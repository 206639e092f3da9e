//! Answers of the proxy's own, sent whole.

use http::{Method, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::proxy::host::Host;
use crate::proxy::host::content::Content;

/// Sends an answer in the name of a host and keeps the connection, if the client keeps its part.
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn send(
    session: &mut Session,
    mut response: ResponseHeader,
    content: Content,
    host: Host<'_>,
) -> Result<()> {
    response.insert_header(header::CONTENT_TYPE, content.kind)?;
    response.insert_header(header::CONTENT_LENGTH, content.bytes.len())?;
    host.finish(&mut response)?;
    // The client may send the body that it asked about, or never; and what follows CONNECT may
    // be no request at all.
    if !session.as_mut().is_body_done() || session.req_header().method == Method::CONNECT {
        session.set_keepalive(None);
    }
    let no_body = session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(response), no_body).await?;
    if !no_body {
        session.write_response_body(Some(content.bytes), true).await?;
    }
    Ok(())
}
