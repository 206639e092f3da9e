//! The management API: its tokens, its address, and its place at the admin socket.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::ServerError;
use super::listen::bind_management;
use super::sockets::Sockets;
use crate::accept::Closing;
use crate::config::Config;
use crate::rest::{self, Door};
use crate::rpc::ServeHttp;
use crate::tokens::Tokens;

/// The tokens of the management API; one that the API needs is made.
pub(super) fn open_tokens(config: &Config) -> Result<Tokens, ServerError> {
    let tokens = Tokens::open(&config.proxy.state_dir)?;
    if config.proxy.management_api_addr.is_some() {
        tokens.prepare()?;
    }
    Ok(tokens)
}

/// Serves the management API, if anywhere. Until the door is opened, each request is answered
/// that the server is starting.
pub(super) fn serve(bound: Vec<rest::Listener>, door: &Door, control: &Runtime, closing: &Closing) {
    for listener in bound {
        tracing::info!(listen_addr = %listener.address(), "serving the management API");
        control.spawn(listener.serve(door.clone(), closing.clone()));
    }
}

/// Binds the addresses of the management API, if there are any.
pub(super) fn bind(
    config: &Config,
    control: &Runtime,
    sockets: &Sockets,
) -> Result<Vec<rest::Listener>, ServerError> {
    let _context = control.enter();
    bind_management(config, sockets)
}

/// Serves HTTP at the admin socket.
pub(super) fn http_by(door: Door) -> ServeHttp {
    Arc::new(move |stream, actor| {
        let door = door.clone();
        Box::pin(async move { door.serve_local(stream, actor).await })
    })
}
