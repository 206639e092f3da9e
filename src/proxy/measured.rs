//! The pure parts of a request's way, for `benches/hot_path.rs`; nothing else uses this.

use std::net::IpAddr;

use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::balance::choose;
use super::client::Client;
use super::headers::{forward, original_host, strip_hop_by_hop, to_origin_form};
use crate::model::Balance;
use crate::state::Pool;

/// Chooses a backend and lets it go. Says whether there was one.
pub fn pick(pool: &Pool, balance: Balance) -> bool {
    choose(pool, balance, &[]).is_some()
}

/// Edits the head of a stranger's request as it goes to a backend.
///
/// # Errors
///
/// When the head has a value that can't be one.
pub fn edit_request(request: &mut RequestHeader, ip: IpAddr) -> Result<()> {
    let host = original_host(request)?;
    to_origin_form(request)?;
    forward(request, Client { ip, trusted: false, secure: true }, host.as_ref())
}

/// Edits the head of a backend's answer.
pub fn edit_response(response: &mut ResponseHeader) {
    strip_hop_by_hop(response);
}
