//! The read side: one published, immutable snapshot, and the live counters that snapshots share.
//!
//! Knows nothing of control, store, rpc or cli. What is *wanted* lives in the snapshot; what is
//! *observed* lives in atomics behind `Arc`s that successive snapshots carry over.

mod live;
mod pool;
mod publication;
mod snapshot;

pub use live::{BackendLive, Endpoints, InFlight, InFlightGuard};
pub use pool::{Pool, Standing};
pub use publication::{Pinned, Publisher, Reader, publication};
pub use snapshot::{BackendNode, DomainNode, Snapshot};
