//! Answers that are large, and that stay until the client has read them: of those each client is given few at
//! once, and waits for its own to end. Others don't wait for them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::model::Actor;

/// Large answers that one client is given at once.
const MAX_LARGE_ANSWERS: usize = 2;

/// What is handed to the connection at once. It takes the next when it has written most of it.
const PIECE: usize = 16 * 1024;

/// The large answers under way, by client.
#[derive(Default)]
pub(super) struct LargeAnswers(Mutex<HashMap<String, Weak<Semaphore>>>);

impl LargeAnswers {
    /// Waits until the client may have one more.
    pub(super) async fn enter(&self, actor: &Actor) -> Result<OwnedSemaphorePermit, Problem> {
        let client = match actor {
            // All processes of a user are one client.
            Actor::Socket { uid, .. } => format!("uid {uid}"),
            Actor::Token { .. }
            | Actor::File
            | Actor::Certificates
            | Actor::Server
            | Actor::Unknown => actor.to_string(),
        };
        let turns = {
            let mut clients = self.0.lock();
            clients.retain(|_, turns| turns.strong_count() > 0);
            let turns = clients.get(&client).and_then(Weak::upgrade);
            let turns = turns.unwrap_or_else(|| Arc::new(Semaphore::new(MAX_LARGE_ANSWERS)));
            clients.insert(client, Arc::downgrade(&turns));
            turns
        };
        turns.acquire_owned().await.map_err(|_| Problem::stopping())
    }
}

/// Keeps `permit` until the answer is written, or nobody is there to read it.
pub(super) async fn until_written(response: Response, permit: OwnedSemaphorePermit) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Problem::internal().into_response();
    };
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let pieces = stream::unfold((body, permit), |(mut left, permit)| async move {
        let piece = left.split_to(left.len().min(PIECE));
        // A part of the whole would keep the whole.
        let piece = (!piece.is_empty()).then(|| Bytes::copy_from_slice(&piece))?;
        Some((Ok::<_, Infallible>(piece), (left, permit)))
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_client_that_reads_nothing_has_few_answers_and_keeps_nobody_waiting() {
        let answers = LargeAnswers::default();
        let token = |name: &str| Actor::Token { name: name.parse().unwrap() };
        let (greedy, other) = (token("greedy"), token("other"));
        let mut unread = Vec::new();
        while let Some(permit) = answers.enter(&greedy).now_or_never() {
            let answer = "x".repeat(100_000).into_response();
            unread.push(until_written(answer, permit.unwrap()).await);
            assert!(unread.len() <= MAX_LARGE_ANSWERS, "it may have as many as it likes");
        }
        assert_eq!(unread.len(), MAX_LARGE_ANSWERS);
        let permit = answers.enter(&other).now_or_never().expect("nobody else waits").unwrap();
        drop(permit);

        // The next one comes when one is read, not before.
        let mut waiting = Box::pin(answers.enter(&greedy));
        let mut answer = unread.pop().unwrap();
        assert_eq!(answer.headers()[CONTENT_LENGTH], "100000");
        let mut read = 0;
        while let Some(piece) = answer.body_mut().frame().await {
            assert!(waiting.as_mut().now_or_never().is_none(), "{read} bytes are read");
            read += piece.unwrap().into_data().unwrap().len();
        }
        assert_eq!(read, 100_000);
        let next = waiting.now_or_never().expect("one is read");
        // So it does when a client goes away.
        let mut waiting = Box::pin(answers.enter(&greedy));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(unread);
        assert!(waiting.now_or_never().is_some());
        drop(next);
        drop(answers.enter(&other).await.unwrap());
        assert_eq!(answers.0.lock().len(), 1, "clients that have none are forgotten");
    }
}
