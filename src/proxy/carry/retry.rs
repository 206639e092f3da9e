//! What is tried again, and where.

use pingora::{Error, ErrorSource, ErrorType};

use super::failure::words_of;
use super::net::is_caught;
use super::response::is_answering;
use super::shared::Shared;
use super::stages::{RequestContext, Stage};
use crate::model::Reason;
use crate::proxy::client::downstream::Downstream;
use crate::upstream;

impl Shared {
    /// No connection was made, or a kept one takes no request any more: nothing was sent yet, so any
    /// method may be tried again.
    pub(crate) fn retry_connect(&self, ctx: &mut RequestContext, error: &Error) -> bool {
        if upstream::is_unprocessed(error)
            && let Some(sent) = ctx.sent_mut()
            && !sent.replayed
        {
            // A kept connection of HTTP/2 that takes no request any more: the backend may be well.
            sent.replayed = true;
            return true;
        }
        blame(ctx, error, false);
        self.try_elsewhere(ctx) || self.catch_unsent(ctx)
    }

    /// It failed while it was carried. What may have been acted on is not sent twice, and what is not kept
    /// can't be.
    pub(crate) fn retry_request(
        &self,
        session: &mut impl Downstream,
        error: &mut Error,
        ctx: &mut RequestContext,
        client_reused: bool,
    ) {
        if is_caught(error) {
            return;
        }
        let is_kept = session.can_replay();
        let is_unprocessed = !is_answering(session)
            && *error.esource() == ErrorSource::Upstream
            && upstream::is_unprocessed(error);
        let is_first = ctx.sent().is_some_and(|sent| !sent.replayed);
        if !is_kept {
            error.set_retry(false);
        } else if is_unprocessed {
            // Once to the same backend, for its connection may just have been at its end.
            error.set_retry(is_first || self.try_elsewhere(ctx));
        } else if session.request().method.is_idempotent() {
            // Once: a replay goes over a connection that nobody has used.
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        let mut stalled_client =
            matches!(error.etype(), ErrorType::ReadTimedout) && !session.is_body_read();
        if let Some(sent) = ctx.sent_mut() {
            sent.replayed |= error.retry();
            if matches!(error.etype(), ErrorType::ReadTimedout) && sent.waits_for_client() {
                stalled_client = true;
                sent.cut_off = Some(Reason::ClientGone);
            }
        }
        if *error.esource() == ErrorSource::Upstream && !error.retry() && !stalled_client {
            blame(ctx, error, is_answering(session));
            error.set_retry(ctx.has_net() && self.catch(session, ctx));
        }
    }

    /// Gives up the backend that a request was sent to, and chooses another if it may be tried there.
    fn try_elsewhere(&self, ctx: &mut RequestContext) -> bool {
        let Stage::Sent(pinned, sent) = &mut ctx.stage else { return false };
        let running = self.metrics.busy.count();
        sent.try_elsewhere(pinned, &ctx.options.upstream, &self.retries, running)
    }
}

/// Notes how a try ended that got no usable answer, for health and for the log.
fn blame(ctx: &RequestContext, error: &Error, answering: bool) {
    if let Some(node) = ctx.backend() {
        let failure = upstream::failure(error, answering);
        node.live.note_failure(failure, || words_of(error, answering));
    }
}

/// Logs that a request is tried again.
pub(crate) fn log(ctx: &RequestContext, error: &Error) {
    let tried = ctx.sent().map_or(&[][..], |sent| &sent.tried);
    tracing::debug!(
        domain = ctx.domain().map(tracing::field::display),
        backend_id = tried.last().map(|node| tracing::field::display(&node.backend.id)),
        attempt = tried.len(),
        error = words_of(error, false),
        "request is tried again"
    );
}
