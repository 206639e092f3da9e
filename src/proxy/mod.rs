//! The request path: an accepted connection becomes requests, each goes to a backend of its
//! domain's live tag.
//!
//! Reads the published state; takes no lock and waits for nothing but the network.

mod balance;
mod carry;
mod client;
mod decision;
mod exchange;
mod front;
mod host;
mod limits;
#[doc(hidden)]
pub mod measured;
mod memory;
mod options;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

pub(crate) use decision::explain;
pub(crate) use exchange::sweep;
pub(crate) use front::{Front, Serve, front, tls_front};
pub(crate) use host::{HostServices, PageKeeper, PageRules, Pages};
pub(crate) use options::{
    ConnectionLimits, HandshakeLimits, Https, MemoryLimits, ProxyOptions, RequestLimits,
    UpstreamOptions, forwarded_names,
};
