//! The proxy's own errors as clients of gRPC understand them.

use http::StatusCode;
use pingora::Result;

use crate::heads::ResponseHead;
use crate::heads::names::{CONTENT_TYPE, GRPC_MESSAGE, GRPC_STATUS};
use crate::proxy::client::downstream::Downstream;

/// Answers with trailers alone. HTTP's own status is 200 all the same: gRPC's is another.
///
/// # Errors
/// When the client takes no answer any more.
pub(crate) async fn send_grpc(
    session: &mut impl Downstream,
    status: StatusCode,
    words: &'static str,
) -> Result<()> {
    let mut response = ResponseHead::new(StatusCode::OK);
    response.headers.insert(CONTENT_TYPE, "application/grpc");
    response.headers.insert(GRPC_STATUS, grpc_status(status));
    response.headers.insert(GRPC_MESSAGE, words.trim_end());
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
