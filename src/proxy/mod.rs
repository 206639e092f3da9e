//! The request path: an accepted connection becomes requests, each goes to a backend of its
//! domain's live tag.
//!
//! Reads the published state; takes no lock and waits for nothing but the network.

mod balance;
mod carry;
mod client;
mod decision;
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
mod wrapped;

pub use decision::explain;
pub use front::{Front, TlsFront, front, tls_front};
pub use host::{HostServices, PageKeeper, PageRules, Pages};
pub use options::{
    ConnectionLimits, HandshakeLimits, Https, MemoryLimits, ProxyOptions, RequestLimits,
    SharedOptions, UpstreamOptions,
};
