//! Carries one request after the other.

use std::future::poll_fn;
use std::sync::Arc;

use http::{StatusCode, Version};
use pingora::Result;
use pingora::connectors::ConnectorOptions;

use super::answer::body_of;
use super::connect::{Connector, keep};
use super::downstream::Relayed;
use super::errors::malformed_answer;
use super::fields::{keeps, strip_request};
use super::relay::Relay;
use super::request::{self, Body, frame};
use super::tunnel::Tunnel;
use crate::heads::RequestHead;
use crate::heads::names::{CONNECTION, UPGRADE};
use crate::link::Link;
use crate::proxy::carry::response;
use crate::proxy::carry::retry;
use crate::proxy::carry::shared::Shared;
use crate::proxy::carry::stages::RequestContext;
use crate::proxy::carry::target::Target;
use crate::proxy::client::connection::Arrival;
use crate::upstream;

/// The heads that one request may be answered with: interim ones, and the last.
const MAX_HEADS: usize = 100;

/// Carries requests to backends that speak HTTP/1.
pub(crate) struct Carrier {
    shared: Arc<Shared>,
    connector: Connector,
}

/// What became of a request.
pub(crate) enum Carried {
    /// It has ended, and was counted and logged.
    Ended,
    /// Its backend speaks HTTP/2; nothing of its body was read.
    HandOver(Box<RequestContext>),
}

/// How far a request came here.
enum Came {
    ToItsEnd,
    ToHttp2,
}

/// How far one try came.
enum Exchanged {
    ToItsEnd,
    /// The tag on trial has failed it, and the old one is asked next.
    Caught,
}

impl Carrier {
    pub(crate) fn new(shared: Arc<Shared>, options: ConnectorOptions) -> Self {
        Self { shared, connector: Connector::new(options) }
    }

    /// Carries a request whose head was read.
    pub(crate) async fn carry<C: Relayed>(&self, client: &mut C, arrival: Arrival) -> Carried {
        let mut ctx = self.shared.begin(arrival);
        match self.run(client, &mut ctx).await {
            Ok(Came::ToItsEnd) => self.shared.finish(client, None, &mut ctx),
            Ok(Came::ToHttp2) => return Carried::HandOver(Box::new(ctx)),
            Err(error) => {
                self.shared.fail(client, &error, &mut ctx).await;
                self.shared.finish(client, Some(&error), &mut ctx);
            }
        }
        Carried::Ended
    }

    async fn run<C: Relayed>(&self, client: &mut C, ctx: &mut RequestContext) -> Result<Came> {
        if self.shared.is_stopping() {
            client.close_after();
        }
        if self.shared.take_in(client, ctx).await? {
            return Ok(Came::ToItsEnd);
        }
        // Why it is tried once more, and whether something of its body may be read.
        let (mut failed, mut has_begun) = (None, false);
        loop {
            let target = ctx.begin_try()?;
            if !upstream::is_http1(&target.node, target.is_websocket) {
                return match failed {
                    // What was read of its body nobody else has, be it the size of a chunk.
                    Some(error) if has_begun => Err(error),
                    _ => Ok(Came::ToHttp2),
                };
            }
            let (head, body) = self.head_for(client, ctx, &target)?;
            let mut link = match self.connector.link(&target, client, ctx.budget()).await {
                Ok(link) => link,
                Err(error) if self.shared.retry_connect(ctx, &error) => {
                    retry::log(ctx, &error);
                    failed = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if (link.is_used || ctx.has_net()) && client.request().method.is_idempotent() {
                client.keep_body();
            }
            request::write(&head, link.outbox.head());
            let is_used = link.is_used;
            has_begun |= body != Body::None;
            match self.exchange(client, ctx, link, body, &target).await {
                Ok(Exchanged::ToItsEnd) => return Ok(Came::ToItsEnd),
                Ok(Exchanged::Caught) => client.rewind(),
                Err(mut error) => {
                    self.shared.retry_request(client, &mut error, ctx, is_used);
                    if !error.retry() {
                        return Err(error);
                    }
                    retry::log(ctx, &error);
                    failed = Some(error);
                    client.rewind();
                }
            }
        }
    }

    /// The head that the backend gets, and how the body behind it is delimited.
    fn head_for<C: Relayed>(
        &self,
        client: &mut C,
        ctx: &mut RequestContext,
        target: &Target,
    ) -> Result<(RequestHead, Body)> {
        let mut head = client.request().copy();
        let has_body = !target.is_websocket && (!client.is_body_read() || client.received() > 0);
        head.version = Version::HTTP_11;
        head.name_host();
        strip_request(&mut head)?;
        if target.is_websocket {
            head.headers.append(CONNECTION, "Upgrade");
            head.headers.append(UPGRADE, "websocket");
        }
        self.shared.edit_request(client, &mut head, ctx)?;
        let body = frame(&mut head, has_body);
        Ok((head, body))
    }

    /// Sends a request whose head waits in the link, and its answer back.
    async fn exchange<C: Relayed>(
        &self,
        client: &mut C,
        ctx: &mut RequestContext,
        mut link: Box<Link>,
        body: Body,
        target: &Target,
    ) -> Result<Exchanged> {
        let mut relay = Relay::begin(client, &mut link, ctx, body, target);
        let mut interim = 0;
        let goes_on = loop {
            let mut head = poll_fn(|cx| relay.poll_head(cx)).await?;
            upstream::check_answer(&mut head, target.is_websocket)?;
            if target.is_websocket
                && head.status.is_success()
                && relay.client.request().version == Version::HTTP_2
            {
                // To the client it would say that the tunnel is open (RFC 8441 §5).
                return Err(malformed_answer(&"it answers an upgrade with a success"));
            }
            interim += 1;
            if interim > MAX_HEADS {
                return Err(malformed_answer(&"it has too many interim answers"));
            }
            if self.shared.catch_answer(relay.client, head.status, relay.ctx) {
                return Ok(Exchanged::Caught);
            }
            let goes_on = keeps(head.version, &head.headers);
            let body = body_of(&relay.client.request().method, &head);
            let edited = self.shared.edit_response(relay.client, &mut head, relay.ctx)?;
            let encode = match edited {
                response::Body::Page(page) => {
                    self.shared.send_page(relay.client, &head, page, relay.ctx).await?;
                    return Ok(Exchanged::ToItsEnd);
                }
                response::Body::Encoded(encode) => Some(encode),
                response::Body::AsItIs => None,
            };
            let status = head.status;
            relay.leaving = self.shared.leaving_stream(relay.client.request(), &head, relay.ctx);
            relay.client.begin(&mut head)?;
            if status == StatusCode::SWITCHING_PROTOCOLS {
                relay.upgrade();
                let leaving = self.shared.leaving(relay.ctx);
                let mut tunnel = Tunnel::new(relay.ctx.tunnel_timeouts(), leaving);
                poll_fn(|cx| relay.poll_tunnel(cx, &mut tunnel)).await;
                return Ok(Exchanged::ToItsEnd);
            }
            if !status.is_informational() {
                relay.begin_answer(body, encode);
                break goes_on;
            }
            poll_fn(|cx| relay.poll_interim(cx)).await?;
        };
        poll_fn(|cx| relay.poll_body(cx)).await?;
        // After an upgrade that was refused nobody knows what the backend makes of what comes next.
        if goes_on && relay.is_link_clean() && !target.is_websocket {
            keep(link, target);
        }
        Ok(Exchanged::ToItsEnd)
    }
}
