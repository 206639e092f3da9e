//! The headers that tell backends who the client is and what it has asked for.

use super::worded;

worded! {
    /// What is sent to backends about the client.
    pub enum ForwardedHeaders {
        /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
        XForwarded "x-forwarded",
        /// `Forwarded` (RFC 7239).
        Forwarded "forwarded",
        /// `X-Real-IP`: the client alone.
        XRealIp "x-real-ip",
        /// `X-Forwarded-Port`: the port that the client has connected to.
        XForwardedPort "x-forwarded-port",
    }
}
