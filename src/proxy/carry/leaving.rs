//! When a connection that has no end of its own has to end, because what it runs on was left: its tag by its
//! domain, or its backend.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::{Method, StatusCode};
use tokio::sync::oneshot;

use super::shared::Shared;
use super::stages::RequestContext;
use crate::counters::{Departure, InFlight};
use crate::heads::names::{CONTENT_LENGTH, CONTENT_TYPE};
use crate::heads::{RequestHead, ResponseHead};
use crate::model::CloseAfter;
use crate::proxy::decision::Kind;
use crate::proxy::wire::clock::Clock;
use crate::state::{BackendNode, DomainNode, Reader};

/// Follows whether what a request runs on was left, and when the request has to end then. The writer wakes
/// whoever runs on what it leaves, or comes back to; until then a look reads two numbers.
pub(crate) struct Leaving {
    reader: Reader,
    /// As the request knows it.
    domain: Arc<DomainNode>,
    tag: Arc<InFlight>,
    backend: Arc<BackendNode>,
    /// That one of them was left, or serves again.
    news: Coming,
    /// Who hears of it, and what was known when that one began to listen.
    heard: Option<(Waker, [u64; 2])>,
    ends_at: Option<Instant>,
    /// Which part of the spread passes before its moment.
    share: f64,
}

/// Something that comes about at some time.
pub(super) type Coming = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Shared {
    /// Follows whether what a request runs on is left, where its domain has it end then.
    pub(crate) fn leaving(&self, ctx: &RequestContext) -> Option<Box<Leaving>> {
        let pinned = ctx.pinned()?;
        pinned.domain.times().close_left?;
        let (tag, backend) = (Arc::clone(pinned.in_flight.among()), Arc::clone(ctx.backend()?));
        Some(Box::new(Leaving {
            reader: self.reader.clone(),
            domain: Arc::clone(&pinned.domain),
            news: news(&tag, &backend),
            tag,
            backend,
            heard: None,
            ends_at: None,
            share: fastrand::f64(),
        }))
    }

    /// The same of an answer that is an event stream, for which a client asks again when it ends. Nothing else
    /// is broken off: not one of a known length, and no answer to what an `EventSource` would not ask.
    pub(crate) fn leaving_stream(
        &self,
        request: &RequestHead,
        response: &ResponseHead,
        ctx: &RequestContext,
    ) -> Option<Box<Leaving>> {
        ctx.pinned()?.domain.times().close_left?;
        is_stream(request, response).then(|| self.leaving(ctx)).flatten()
    }

    /// The same where Pingora carries the request, before there is an answer: ready when that has to end.
    pub(super) fn left_stream(
        &self,
        request: &RequestHead,
        ctx: &mut RequestContext,
    ) -> Option<Coming> {
        ctx.pinned()?.domain.times().close_left?;
        if request.method != Method::GET || ctx.kind() != Kind::Plain {
            return None;
        }
        let leaving = self.leaving(ctx)?;
        let (is_stream, begins) = oneshot::channel();
        ctx.sent_mut()?.is_stream = Some(is_stream);
        Some(Box::pin(async move {
            match begins.await {
                Ok(()) => leaving.ended().await,
                Err(_) => std::future::pending().await,
            }
        }))
    }
}

/// Begins to follow whether what an answer of Pingora's runs on is left, where it is an event stream.
pub(super) fn note_stream(
    request: &RequestHead,
    response: &ResponseHead,
    ctx: &mut RequestContext,
) {
    if let Some(sent) = ctx.sent_mut()
        && sent.is_stream.is_some()
        && is_stream(request, response)
        && let Some(begins) = sent.is_stream.take()
    {
        // Nobody hears of it where the answer has ended already.
        let _ = begins.send(());
    }
}

impl Leaving {
    /// When the request has to end, as far as is known; `cx` is woken when that changes.
    pub(crate) fn ends_at(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        let is_known = self.heard.as_ref().is_some_and(|(waker, versions)| {
            *versions == self.versions() && waker.will_wake(cx.waker())
        });
        if !is_known {
            // Listens before it looks: what changes in between is heard.
            while self.news.as_mut().poll(cx).is_ready() {
                self.news = news(&self.tag, &self.backend);
            }
            self.heard = Some((cx.waker().clone(), self.versions()));
            self.ends_at = self.look();
        }
        self.ends_at
    }

    fn departures(&self) -> [&Departure; 2] {
        [self.tag.departure(), self.backend.live.departure()]
    }

    fn versions(&self) -> [u64; 2] {
        self.departures().map(Departure::version)
    }

    fn look(&self) -> Option<Instant> {
        let left_at = self.departures().into_iter().filter_map(Departure::left_at).min()?;
        let after: CloseAfter = {
            let snapshot = self.reader.load();
            let own = &self.domain.virtual_host.domain;
            // As it is now; where it was removed, as it was.
            let now = snapshot.domain(own).filter(|now| now.virtual_host.domain == *own);
            now.unwrap_or(&self.domain).times().close_left?
        };
        left_at.checked_add(after.after() + after.spread().mul_f64(self.share))
    }

    /// Waits until the request has to end.
    pub(crate) async fn ended(mut self: Box<Self>) {
        let mut clock = Clock::default();
        poll_fn(|cx| match self.ends_at(cx) {
            Some(at) if clock.poll(cx, at) => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }
}

impl fmt::Debug for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaving").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}

fn news(tag: &Arc<InFlight>, backend: &Arc<BackendNode>) -> Coming {
    let (tag, backend) = (Arc::clone(tag), Arc::clone(backend));
    Box::pin(async move {
        let mut of_tag = pin!(tag.departure().changed());
        let mut of_backend = pin!(backend.live.departure().changed());
        // Not `select!`, which listens to nothing once the task has done enough for its turn.
        poll_fn(|cx| {
            let (tag, backend) = (of_tag.as_mut().poll(cx), of_backend.as_mut().poll(cx));
            if tag.is_ready() || backend.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    })
}

/// Whether an answer is an event stream, and the client one that asks again.
fn is_stream(request: &RequestHead, response: &ResponseHead) -> bool {
    request.method == Method::GET
        && response.status == StatusCode::OK
        && !response.headers.has(CONTENT_LENGTH)
        && response.headers.text(CONTENT_TYPE).is_some_and(is_event_stream)
}

/// Whether a media type is that of event streams, whatever its parameters.
fn is_event_stream(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stream_is_known_by_its_type() {
        for kind in ["text/event-stream", "Text/Event-Stream; charset=utf-8", " text/event-stream "]
        {
            assert!(is_event_stream(kind), "{kind}");
        }
        for kind in ["text/plain", "text/event-streams", "", "application/x-ndjson"] {
            assert!(!is_event_stream(kind), "{kind}");
        }
    }
}
