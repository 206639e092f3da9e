//! The net under a new tag that is on trial: what it fails before its answer has begun, the old one may answer.

use http::StatusCode;
use pingora::{Error, ErrorType, Result};

use super::response::{is_answering, judge};
use super::shared::Shared;
use super::stages::{RequestContext, Stage};
use crate::proxy::client::downstream::Downstream;
use crate::proxy::decision::Kind;

/// What ends the try of a request that was caught.
const CAUGHT: ErrorType = ErrorType::Custom("Caught");

impl Shared {
    /// Sends a request to the old tag that the one on trial has failed; false where it can't be sent twice, or
    /// nobody there takes it.
    pub(super) fn catch(&self, session: &impl Downstream, ctx: &mut RequestContext) -> bool {
        let is_repeatable = session.request().method.is_idempotent()
            && session.can_replay()
            && !is_answering(session);
        is_repeatable && self.catch_unsent(ctx)
    }

    /// The same for one of which nothing was sent.
    pub(super) fn catch_unsent(&self, ctx: &mut RequestContext) -> bool {
        if ctx.kind() == Kind::WebSocket {
            return false;
        }
        let running = self.metrics.busy.count();
        let Stage::Sent(pinned, sent) = &mut ctx.stage else { return false };
        let is_caught = sent.fall(pinned, &ctx.options.upstream, &self.retries, running);
        if is_caught {
            self.metrics.count_netted();
        }
        is_caught
    }

    /// The same for one that the tag on trial has answered with this status, where that is a failure.
    pub(crate) fn catch_answer(
        &self,
        session: &impl Downstream,
        status: StatusCode,
        ctx: &mut RequestContext,
    ) -> bool {
        if !status.is_server_error() || !ctx.has_net() {
            return false;
        }
        let failing = ctx.backend().cloned();
        let is_caught = self.catch(session, ctx);
        if is_caught && let Some(node) = failing {
            judge(status, &node, ctx);
        }
        is_caught
    }
}

impl RequestContext {
    /// Whether a net is under it.
    pub(crate) fn has_net(&self) -> bool {
        self.pinned().is_some_and(|pinned| pinned.net.is_some()) && !self.is_netted()
    }
}

/// Ends the try of a request that was caught, where Pingora carries it.
pub(super) fn caught<T>() -> Result<T> {
    let mut error = Error::explain(CAUGHT, "the tag on trial has failed it").into_up();
    error.set_retry(true);
    Err(error)
}

/// Whether it is that.
pub(super) fn is_caught(error: &Error) -> bool {
    *error.etype() == CAUGHT
}
