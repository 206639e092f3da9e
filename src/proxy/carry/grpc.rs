//! The proxy's own errors as clients of gRPC understand them.

use http::{HeaderName, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::proxy::client::downstream::Downstream;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Answers with trailers alone. HTTP's own status is 200 all the same: gRPC's is another.
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn send_grpc(
    session: &mut impl Downstream,
    status: StatusCode,
    words: &'static str,
) -> Result<()> {
    let mut response = ResponseHeader::build(StatusCode::OK, Some(4))?;
    response.insert_header(header::CONTENT_TYPE, "application/grpc")?;
    response.insert_header(GRPC_STATUS, grpc_status(status))?;
    response.insert_header(GRPC_MESSAGE, words.trim_end())?;
    session.answer(response, None).await
}

/// As gRPC maps statuses of HTTP for clients that get one (`http-grpc-status-mapping.md`).
fn grpc_status(status: StatusCode) -> &'static str {
    match status {
        // INTERNAL
        StatusCode::BAD_REQUEST => "13",
        // UNAUTHENTICATED
        StatusCode::UNAUTHORIZED => "16",
        // UNIMPLEMENTED
        StatusCode::NOT_FOUND => "12",
        // UNAVAILABLE
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => "14",
        // UNKNOWN
        _ => "2",
    }
}
