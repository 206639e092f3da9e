//! Resources that all clients share fairly: connections, handshakes, places in queues. A client
//! that is alone may have nearly all; as soon as others come, it makes room for them.

mod client;
mod lanes;
mod line;
mod share;
mod taken;

pub use client::{ClientKey, client_network};
pub use line::{Line, NoPlace, PlaceInLine, Who};
pub use share::{Share, Shares, Use, Uses};
pub use taken::{Place, Places};

/// The part of a limit that one client may use if it can't be displaced: never all of it.
pub fn share_of(bound: usize) -> usize {
    (bound / 2).max(1)
}
