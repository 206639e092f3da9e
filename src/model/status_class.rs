//! The first digit of a status.

use super::worded;

worded! {
    /// What kind of answer a request got (RFC 9110 §15).
    pub enum StatusClass {
        /// 1xx: the connection became a WebSocket.
        Informational "1xx",
        /// 2xx.
        Success "2xx",
        /// 3xx.
        Redirection "3xx",
        /// 4xx.
        ClientError "4xx",
        /// 5xx.
        ServerError "5xx",
        /// No answer, for nobody was left to have it.
        None "none",
    }
}

impl StatusClass {
    /// The class of a status.
    pub fn of(status: Option<u16>) -> Self {
        match status {
            None => Self::None,
            Some(..200) => Self::Informational,
            Some(200..300) => Self::Success,
            Some(300..400) => Self::Redirection,
            Some(400..500) => Self::ClientError,
            Some(500..) => Self::ServerError,
        }
    }
}
