//! The router, made from the table of routes.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::guard::{Guard, admit, revoked};
use super::health::{Health, Status};
use super::input::given;
use super::large::{LargeAnswers, until_written};
use super::operation::{Operation, Streams};
use super::problem::Problem;
use super::routes::{Does, HEALTH, ROOT, ROUTES};
use super::stream::{self, UnderWay};
use super::{openapi, output, revision};
use crate::exposition::Exposition;
use crate::model::{Actor, DomainName};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::{Method, event};
use crate::rpc::{Call, Dispatch, ProgressSink};
use crate::state::Reader;
use crate::tokens::Tokens;

/// What stands in the path, or why it can't be read.
type PathParams = Result<RawPathParams, RawPathParamsRejection>;

/// What the API is made of.
pub(crate) struct Api {
    /// Carries out what is asked for.
    pub dispatch: Dispatch,
    /// Who may ask over TCP.
    pub tokens: Tokens,
    /// The metrics for Prometheus.
    pub exposition: Exposition,
    /// The names by which it may be called, beside its address and `localhost`.
    pub hosts: Vec<DomainName>,
    /// The published state.
    pub state: Reader,
    /// When the server started.
    pub started: Instant,
    /// Turns to true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

impl Api {
    pub(super) fn router(self) -> Router {
        let guard = Guard { tokens: self.tokens.clone(), hosts: self.hosts.clone().into() };
        let api = Arc::new(self);
        let large = Arc::<LargeAnswers>::default();
        let document: Arc<str> =
            serde_json::to_string(&openapi::document()).unwrap_or_default().into();
        let mut router = Router::new();
        for route in ROUTES {
            let filter = MethodFilter::try_from(route.verb.clone())
                .expect("routes have standard methods alone");
            let served = match &route.does {
                Does::Call(operation) => {
                    let (api, large) = (Arc::clone(&api), Arc::clone(&large));
                    on(filter, move |path: PathParams, request: Request| async move {
                        let called = api.call(operation, &large, path, request).await;
                        called.unwrap_or_else(IntoResponse::into_response)
                    })
                }
                Does::Health => {
                    let api = Arc::clone(&api);
                    on(filter, move || async move { api.health() })
                }
                Does::Metrics => {
                    let exposition = api.exposition.clone();
                    on(filter, move || metrics(exposition))
                }
                Does::Document => {
                    let document = document.to_string();
                    on(filter, move || async move {
                        ([(CONTENT_TYPE, "application/json")], document).into_response()
                    })
                }
            };
            router = router.route(route.path, served);
        }
        router
            .fallback(unknown_path)
            .method_not_allowed_fallback(|| async { not_allowed() })
            .layer(axum::middleware::from_fn_with_state(guard, admit))
    }

    fn health(&self) -> Health {
        let stopping = *self.stopping.borrow();
        let status = if stopping { Status::Stopping } else { Status::Serving };
        Health::new(status, Some(self.state.load().revision()), self.started)
    }

    /// Carries out an operation.
    async fn call(
        &self,
        operation: &'static Operation,
        large: &LargeAnswers,
        path: PathParams,
        request: Request,
    ) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let actor = head.extensions.get::<Actor>().cloned().ok_or_else(Problem::internal)?;
        let path = path.map_err(|wrong| {
            let status = StatusCode::BAD_REQUEST;
            Problem::new(status, FaultKind::Invalid, wrong.body_text())
        })?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let mut given = given(operation, path, &head, body).await?;
        if operation.streams == Streams::Reports
            && let Some(last) = head.headers.get("last-event-id").and_then(|id| id.to_str().ok())
        {
            // A client that comes back goes on where it was.
            given.insert("after".to_owned(), last.parse::<u64>().map_or(last.into(), Value::from));
        }
        let params = (operation.params)(given)?;
        let revisions = revision::wanted(&head.headers);
        let streams = match operation.streams {
            Streams::Progress if stream::is_wanted(&head.headers) => Streams::Progress,
            Streams::Reports => Streams::Reports,
            Streams::Progress | Streams::No => Streams::No,
        };
        let place = if operation.method == event::List::NAME {
            let mut stopping = self.stopping.clone();
            Some(tokio::select! {
                place = large.enter(&actor) => place?,
                Ok(_) = stopping.wait_for(|stopping| *stopping) => return Err(Problem::stopping()),
            })
        } else {
            None
        };
        let call = |progress| Call { revisions, ..Call::new(actor, progress) };
        match streams {
            Streams::No => {
                let result =
                    carry_out(&self.dispatch, operation, params, call(ProgressSink::Nobody));
                let answer = output::done(operation, result.await?, &head.uri, &head.headers);
                Ok(match place {
                    Some(place) => until_written(answer, place).await,
                    None => answer,
                })
            }
            Streams::Progress => {
                let revoked = revoked(&self.tokens, &head);
                Ok(stream::progress(self.start(operation, params, call), revoked).await)
            }
            Streams::Reports => {
                let revoked = revoked(&self.tokens, &head);
                Ok(stream::reports(self.start(operation, params, call), revoked))
            }
        }
    }

    /// Carries out an operation beside the request: its end doesn't depend on who listens.
    fn start(
        &self,
        operation: &'static Operation,
        params: Value,
        call: impl FnOnce(ProgressSink) -> Call,
    ) -> UnderWay {
        let (reporting, reports) = ProgressSink::values();
        let (ending, end) = oneshot::channel();
        let (dispatch, call) = (self.dispatch.clone(), call(reporting));
        tokio::spawn(async move {
            let ended = carry_out(&dispatch, operation, params, call).await;
            // The client may have gone.
            let _ = ending.send(ended);
        });
        UnderWay { reports, end }
    }
}

/// All metrics. Rendered on a blocking thread: with many domains it takes a while.
async fn metrics(exposition: Exposition) -> Response {
    match tokio::task::spawn_blocking(move || exposition.render()).await {
        Ok(text) => ([(CONTENT_TYPE, Exposition::CONTENT_TYPE)], text).into_response(),
        Err(_) => Problem::internal().into_response(),
    }
}

async fn carry_out(
    dispatch: &Dispatch,
    operation: &Operation,
    params: Value,
    call: Call,
) -> Result<Value, Problem> {
    let Operation { method, .. } = operation;
    tracing::debug!(rpc_method = method, request_id = call.request_id, actor = %call.actor, "rest");
    dispatch.call(method, params, &call).await.map_err(Problem::from)
}

async fn unknown_path(_: Request<Body>) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, FaultKind::Invalid, "there is nothing at this path")
        .hint(format!("{ROOT}/openapi.json has all that there is"))
}

fn not_allowed() -> Problem {
    let detail = "the path is there, but not for this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, FaultKind::Invalid, detail)
        .hint("the header `Allow` has those that it takes")
}

/// What is answered before there is anything to answer with.
pub(super) fn starting(started: Instant) -> Router {
    Router::new()
        .route(
            HEALTH,
            axum::routing::get(move || async move { Health::new(Status::Starting, None, started) }),
        )
        .fallback(|| async { Problem::starting() })
}
