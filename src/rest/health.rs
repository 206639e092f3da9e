//! Whether the proxy serves, for those who balance load and watch over it.

use std::time::Instant;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, ETAG};
use schemars::JsonSchema;
use serde::Serialize;

use super::revision::etag;
use crate::model::Millis;

/// The state of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Health {
    status: Status,
    /// Its version.
    version: &'static str,
    /// The revision of the state; none while it starts.
    revision: Option<u64>,
    /// How long ago it started, in milliseconds.
    uptime_ms: Millis,
}

/// Whether it takes traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// Not yet.
    Starting,
    /// It does.
    Serving,
    /// No more: what runs ends.
    Stopping,
}

impl Health {
    pub(super) fn new(status: Status, revision: Option<u64>, started: Instant) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self { status, version, revision, uptime_ms: started.elapsed().into() }
    }
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let status = match self.status {
            Status::Serving => StatusCode::OK,
            Status::Starting | Status::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        let tag = self.revision.map(|revision| [(ETAG, etag(revision))]);
        (status, tag, [(CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}
