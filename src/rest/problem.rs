//! Errors as HTTP answers (RFC 9457), and the only place where one gets its status.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::json_text::json_text;
use crate::rpc::envelope::{Fault, FaultData, FaultKind, code};

/// The media type of a [`Problem`].
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: `kind` says which problem it is.
    #[serde(rename = "type")]
    about: &'static str,
    /// What the status means.
    title: &'static str,
    /// The status.
    status: u16,
    /// What failed, and why, in one line.
    detail: String,
    #[serde(flatten)]
    data: Box<FaultData>,
}

/// The status of a kind of fault.
pub(super) fn status_of(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::AlreadyExists | FaultKind::Conflict | FaultKind::Timeout => StatusCode::CONFLICT,
        FaultKind::Invalid | FaultKind::Unhealthy => StatusCode::UNPROCESSABLE_ENTITY,
        FaultKind::Denied => StatusCode::FORBIDDEN,
        FaultKind::Internal | FaultKind::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Problem {
    /// One of the request itself, or of who sends it.
    pub(super) fn new(status: StatusCode, kind: FaultKind, detail: impl Into<String>) -> Self {
        let data = FaultData { kind, ..FaultData::default() };
        Self::of(status, detail.into(), data)
    }

    /// A field, a query parameter or a part of the path that can't be taken.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, FaultKind::Invalid, detail)
    }

    /// What should never be.
    pub(super) fn internal() -> Self {
        let detail = "the server failed; its log may say how";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, FaultKind::Internal, detail)
    }

    /// Nothing is carried out yet.
    pub(super) fn starting() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, FaultKind::Conflict, "the server is starting").hint("try again")
    }

    /// Nothing is carried out any more.
    pub(super) fn stopping() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, FaultKind::Conflict, "the server is stopping")
    }

    fn of(status: StatusCode, detail: String, data: FaultData) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        let (status, data) = (status.as_u16(), Box::new(data));
        Self { about: "about:blank", title, status, detail, data }
    }

    /// With what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let status = match fault.code {
            code::REVISION => StatusCode::PRECONDITION_FAILED,
            _ => status_of(fault.data.kind),
        };
        Self::of(status, fault.message, fault.data)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = json_text(&self);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
