//! Answers that come as server-sent events, while a method is under way.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::Value;
use tokio::sync::oneshot;

use super::json_text::json_text;
use super::problem::Problem;
use crate::rpc::Reports;

/// A call that is under way.
pub(super) struct UnderWay {
    /// What it reports.
    pub(super) reports: Reports,
    /// How it ends.
    pub(super) end: oneshot::Receiver<Result<Value, Problem>>,
}

/// Whether the client asks for server-sent events.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/event-stream")
    })
}

/// Sends the progress, then the result or the error. What fails before it has made any progress is
/// answered as if no stream had been asked for. The stream ends when `revoked` completes.
pub(super) async fn progress(
    mut call: UnderWay,
    revoked: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let first = call.reports.next().await;
    if first.is_none() {
        return match ended(call.end).await {
            Ok(result) => events(stream::iter([named("result", &result)])),
            Err(problem) => problem.into_response(),
        };
    }
    let end = stream::once(async move {
        match ended(call.end).await {
            Ok(result) => named("result", &result),
            Err(problem) => named("error", &problem),
        }
    });
    let first = stream::iter(first);
    let reports = first.chain(received(call.reports)).map(|report| named("progress", &report));
    events(reports.chain(end).take_until(revoked))
}

/// Sends what is reported, until `revoked` completes; the result is not sent.
pub(super) fn reports(
    call: UnderWay,
    revoked: impl Future<Output = ()> + Send + 'static,
) -> Response {
    // A switch is reported again when it has ended: its number is then an old one, and a client that comes
    // back must not be sent what it has.
    let numbered = received(call.reports).scan(0, |last, report| {
        let id = report["id"].as_u64().filter(|id| *id > *last);
        *last = id.unwrap_or(*last);
        let event = Event::default().data(json_text(&report));
        std::future::ready(Some(match id {
            Some(id) => event.id(id.to_string()),
            None => event,
        }))
    });
    events(numbered.take_until(revoked))
}

/// How the call ended; a task that is gone without a word was ended by a stop.
async fn ended(end: oneshot::Receiver<Result<Value, Problem>>) -> Result<Value, Problem> {
    end.await.unwrap_or_else(|_| Err(Problem::stopping()))
}

fn received(reports: Reports) -> impl Stream<Item = Value> {
    stream::unfold(reports, |mut reports| async move {
        let report = reports.next().await?;
        Some((report, reports))
    })
}

fn named(name: &str, data: &impl serde::Serialize) -> Event {
    Event::default().event(name).data(json_text(data))
}

fn events(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
