//! The pure parts of a request's way, for `benches/hot_path.rs`; nothing else uses this.

use std::net::IpAddr;
use std::time::Duration;

use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::model::Balance;
use crate::proxy::balance::{Choice, Terms, choose};
use crate::proxy::carry::claims::forward;
use crate::proxy::carry::headers::{strip_hop_by_hop, to_origin_form};
use crate::proxy::client::sender::Client;
use crate::proxy::limits::RateFields;
use crate::proxy::wire::request::original_host;
use crate::state::{Pool, Rates};

/// Chooses a backend, by the key where that is what `balance` says, and lets it go. Says whether there
/// was one.
pub fn pick(pool: &Pool, balance: &Balance, key: Option<u64>) -> bool {
    let terms = Terms { balance, key, most: None, slow_start: Duration::ZERO, tried: &[] };
    matches!(choose(pool, &terms), Choice::Chosen(_))
}

/// Takes a request in by what its domain's rate limits say, and writes what its answer says of them.
pub fn take(rates: &Rates, client: IpAddr) -> bool {
    RateFields::take(rates, client).is_some_and(|fields| !fields.is_refused())
}

/// Edits the head of a stranger's request as it goes to a backend.
///
/// # Errors
///
/// When the head has a value that can't be one.
pub fn edit_request(request: &mut RequestHeader, ip: IpAddr) -> Result<()> {
    let host = original_host(request)?;
    to_origin_form(request)?;
    let origin = Some(ip);
    let client = Client { peer: ip, ip, trusted: false, secure: true, origin, by_header: false };
    forward(request, client, None, host.as_ref())
}

/// Edits the head of a backend's answer.
pub fn edit_response(response: &mut ResponseHeader) {
    strip_hop_by_hop(response);
}
