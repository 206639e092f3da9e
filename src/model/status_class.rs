//! The first digit of a status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::worded;

worded! {
    /// What kind of answer a request got (RFC 9110 §15).
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum StatusClass {
        /// 1xx: the connection became a WebSocket.
        #[serde(rename = "1xx")]
        Informational "1xx",
        /// 2xx.
        #[serde(rename = "2xx")]
        Success "2xx",
        /// 3xx.
        #[serde(rename = "3xx")]
        Redirection "3xx",
        /// 4xx.
        #[serde(rename = "4xx")]
        ClientError "4xx",
        /// 5xx.
        #[serde(rename = "5xx")]
        ServerError "5xx",
        /// No answer, for nobody was left to have it.
        #[serde(rename = "none")]
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
