//! Our own way of carrying requests to backends that speak HTTP/1: one future for each request, in which
//! both directions go on side by side, and which holds no buffer while it waits.

mod answer;
mod carrier;
mod connect;
mod downstream;
mod errors;
mod fields;
mod framing;
mod held;
mod http1;
mod http2;
mod http2_session;
mod inbound;
mod relay;
mod replay;
mod request;
mod scratch;
mod sweep;
mod tunnel;

pub(crate) use carrier::{Carried, Carrier};
pub(crate) use http1::Http1;
pub(crate) use http2::Http2;
pub(crate) use http2_session::Http2Session;
pub(crate) use sweep::sweep;
