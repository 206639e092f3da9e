//! How long the backends of a domain may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Seconds;

/// How long the backends of a domain may take.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// How long connecting to a backend may take, in seconds, TLS handshake included. A backend's own
    /// `connect_timeout_secs` wins. A domain's default is its app's; otherwise it is `connect_timeout_secs` of
    /// `[upstream]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_secs: Option<Seconds>,
    /// The longest time that a backend may go without sending anything, before its response begins or within
    /// it, in seconds; after that the client gets 504. A domain's default is its app's; otherwise it is
    /// `read_timeout_secs` of `[upstream]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_secs: Option<Seconds>,
    /// How long a backend that has the request may take until its response begins, in seconds; after that the
    /// client gets 504. A domain's default is its app's; otherwise it is `response_secs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_secs: Option<Seconds>,
    /// The longest silence of a backend within its response, in seconds, after which the response is broken
    /// off; and how long a backend may take nothing of a request, after which the client gets 504. A domain's
    /// default is its app's; otherwise it is `response_secs` for responses, and `write_timeout_secs` of
    /// `[upstream]` for requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between_bytes_secs: Option<Seconds>,
    /// How long a WebSocket on which neither side says anything stays open, in seconds. A domain's default is
    /// its app's; otherwise it is `websocket_idle_timeout_secs` of `[proxy]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket_idle_secs: Option<Seconds>,
}

impl Timeouts {
    /// These, where what is not given is as `below` says.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        Self {
            connect_secs: self.connect_secs.or(below.connect_secs),
            response_secs: self.response_secs.or(below.response_secs),
            first_byte_secs: self.first_byte_secs.or(below.first_byte_secs),
            between_bytes_secs: self.between_bytes_secs.or(below.between_bytes_secs),
            websocket_idle_secs: self.websocket_idle_secs.or(below.websocket_idle_secs),
        }
    }
}
