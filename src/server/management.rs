//! The management API: its tokens, its address, and its place at the admin socket.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::{ServerError, listen};
use crate::config::Config;
use crate::rest::Door;
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
pub(super) fn open_door(config: &Config, control: &Runtime) -> Result<Door, ServerError> {
    let door = Door::new();
    let _context = control.enter();
    for listener in listen::bind_management(config)? {
        tracing::info!(listen_addr = %listener.address(), "serving the management API");
        control.spawn(listener.serve(door.clone()));
    }
    Ok(door)
}

/// Serves HTTP at the admin socket.
pub(super) fn http_by(door: Door) -> ServeHttp {
    Arc::new(move |stream, actor| {
        let door = door.clone();
        Box::pin(async move { door.serve_local(stream, actor).await })
    })
}
