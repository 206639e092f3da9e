//! How a request ends: answered, where it failed, and then counted and logged.

use std::time::Duration;

use pingora::Error;

use super::access_log;
use super::failure::{Failure, reason_of, respond, words_of};
use super::response::is_answering;
use super::shared::Shared;
use super::stages::RequestContext;
use crate::counters::Sample;
use crate::proxy::client::downstream::Downstream;
use crate::proxy::decision::Kind;
use crate::state::Ended;

impl Shared {
    /// Answers a request that could not be finished.
    pub(crate) async fn fail(
        &self,
        session: &mut impl Downstream,
        error: &Error,
        ctx: &mut RequestContext,
    ) {
        let answering = is_answering(session);
        let failed = reason_of(error, session.is_body_read(), answering);
        let reason = ctx.sent().and_then(|sent| sent.cut_off).unwrap_or(failed);
        // Pingora closes after a failure, whatever the answer says; so the answer says it. Else a
        // client sends its next request into a connection that is closing.
        session.close_after();
        let answered = if answering {
            // Too late for a status: the client sees that the body is broken off.
            Ok(Failure { reason, status: None, error: None })
        } else {
            ctx.name_for_answer();
            respond(session, reason, self.host(ctx), None).await
        };
        let unanswered = Failure { reason, status: None, error: None };
        let failure = answered.unwrap_or(unanswered);
        let mut words = words_of(error, answering);
        if ctx.sent().is_some_and(|sent| sent.is_over_budget) {
            words.push_str("; not tried again, for the retry budget is used up");
        }
        ctx.failure = Some(Failure { error: Some(words), ..failure });
    }

    /// Counts and logs it.
    pub(crate) fn finish(
        &self,
        session: &impl Downstream,
        error: Option<&Error>,
        ctx: &mut RequestContext,
    ) {
        self.metrics.count_request();
        let took = ctx.started.elapsed();
        count(session, ctx, took);
        if let Some(failure) = &ctx.failure {
            self.metrics.count_refused(failure.reason);
        }
        let is_whole = error.is_none() && is_answering(session);
        let keeps = session.keeps();
        ctx.arrival.connection.given_up.answered(is_whole.then_some(keeps));
        ctx.asked = None;
        access_log::ended(session, ctx, took);
    }
}

/// Counts a request that has ended after `took`, where it went.
fn count(session: &impl Downstream, ctx: &RequestContext, took: Duration) {
    let Some(pinned) = ctx.pinned() else { return };
    let status = session.status().map(|status| status.as_u16());
    let answered_at = ctx.sent().and_then(|sent| sent.answered_at);
    // What follows a handshake lasts as long as people like.
    let is_tunnel = match status {
        Some(101) => true,
        // RFC 8441 §5: a stream says it so.
        Some(200) => ctx.kind() == Kind::WebSocket && ctx.arrival.wire.is_http2(),
        _ => false,
    };
    let took = match answered_at {
        Some(answered_at) if is_tunnel => answered_at - ctx.started,
        _ => took,
    };
    let ended = Ended {
        status,
        failed: ctx.has_failed(status) || ctx.is_netted(),
        took,
        received: session.received(),
        sent: session.sent(),
        retries: ctx.attempts().saturating_sub(1) as u64,
        is_backends_fault: ctx.speaks_of_backend(status) == Some(true),
    };
    pinned.tag().traffic.count(&ended, || ctx.network());
    if let Some(on_trial) = pinned.domain.on_trial()
        && let Some(failed) = ctx.speaks_of_backend(status)
    {
        let first_byte = answered_at.and(ctx.upstream_time()).filter(|_| !ctx.is_netted());
        on_trial.count(
            pinned.way,
            pinned.tag().tag(),
            Sample { network: ctx.network(), failed, first_byte },
        );
    }
    if let (Some(node), Some(took)) = (ctx.backend(), ctx.upstream_time()) {
        if answered_at.is_some() {
            node.live.pace().note(took);
        }
        // What the tag on trial has failed, and the old one has answered, is not the old one's failure.
        let failed = ctx.has_failed(status);
        let ended = Ended { took, failed, is_backends_fault: failed, ..ended };
        node.live.traffic().count(&ended, || ctx.network());
    }
}
