//! Answers of the proxy's own, sent whole.

use bytes::Bytes;
use http::{Method, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

/// Sends an answer and keeps the connection, if the client keeps its part.
///
/// # Errors
/// When the client takes no answer any more.
pub(super) async fn send(
    session: &mut Session,
    mut response: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    response.insert_header(header::CONTENT_TYPE, "text/plain; charset=utf-8")?;
    response.insert_header(header::CONTENT_LENGTH, body.len())?;
    // The client may send the body that it asked about, or never; and what follows CONNECT may
    // be no request at all.
    if !session.as_mut().is_body_done() || session.req_header().method == Method::CONNECT {
        session.set_keepalive(None);
    }
    let no_body = session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(response), no_body).await?;
    if !no_body {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}
