//! How Pingora passes the body of an answer on, or another one in its place.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::Result;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, HttpModules, Module};
use pingora::proxy::Session;

use super::response::{Body, has_no_body};
use super::sent::BodyOf;
use super::shared::Shared;
use super::stages::RequestContext;
use crate::heads::ResponseHead;
use crate::proxy::client::downstream::Downstream;
use crate::proxy::host::compression::Encode;
use crate::proxy::memory::Account;

impl Shared {
    /// Does to a session what its answer's body needs.
    pub(super) async fn begin_body(
        &self,
        session: &mut Session,
        response: &ResponseHead,
        body: Body,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let body_of = match body {
            Body::Page(page) => {
                // Pingora takes no other body for a head that it has; but what is sent already it does
                // not send again.
                self.send_page(session, response, page, ctx).await?;
                BodyOf::Page
            }
            Body::Encoded(encode) => {
                let account = ctx.sent().and_then(|sent| sent.account.clone());
                install(session, Encoding { encode: Some(encode), account });
                return Ok(());
            }
            Body::AsItIs if has_no_body(&session.request().method, response.status) => {
                BodyOf::Nobody
            }
            Body::AsItIs => return Ok(()),
        };
        if let Some(sent) = ctx.sent_mut() {
            sent.body_of = body_of;
        }
        Ok(())
    }
}

/// Takes the next piece of an answer's body.
pub(super) fn pass_body(body: &mut Option<Bytes>, is_end: bool, ctx: &RequestContext) {
    let Some(sent) = ctx.sent() else { return };
    if let Some(account) = &sent.account {
        account.pass(body, is_end);
    }
    if sent.body_of != BodyOf::Backend {
        *body = None;
    }
}

fn install(session: &mut Session, encoding: Encoding) {
    let mut modules = HttpModules::new();
    modules.add_module(Box::new(NoEncoding));
    session.downstream_modules_ctx = modules.build_ctx();
    if let Some(module) = session.downstream_modules_ctx.get_mut::<Encoding>() {
        *module = encoding;
    }
}

/// Encodes a body as it passes. A module of Pingora's: only modules hear of the end of a body that
/// trailers end.
struct Encoding {
    encode: Option<Box<Encode>>,
    /// Who holds what comes out.
    account: Option<Arc<Account>>,
}

impl Encoding {
    fn pass(&mut self, piece: &[u8], is_last: bool) -> Result<Option<Bytes>> {
        let Some(encode) = &mut self.encode else { return Ok(None) };
        let out = encode.pass(piece, is_last)?;
        Ok(match &self.account {
            _ if out.is_empty() => None,
            Some(account) => Some(account.hold(out.into())),
            None => Some(out.into()),
        })
    }
}

#[async_trait]
impl HttpModule for Encoding {
    fn response_body_filter(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<()> {
        if self.encode.is_some() {
            *body = self.pass(&body.take().unwrap_or_default(), end)?;
        }
        Ok(())
    }

    fn response_trailer_filter(
        &mut self,
        _trailers: &mut Option<Box<HeaderMap>>,
    ) -> Result<Option<Bytes>> {
        self.pass(&[], true)
    }

    fn response_done_filter(&mut self) -> Result<Option<Bytes>> {
        self.pass(&[], true)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// Makes the module; its encoder is put in afterwards.
struct NoEncoding;

impl HttpModuleBuilder for NoEncoding {
    fn init(&self) -> Module {
        Box::new(Encoding { encode: None, account: None })
    }
}
