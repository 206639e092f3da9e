//! The read side: one published, immutable snapshot, and the live counters that snapshots share.
//!
//! Knows nothing of control, store, rpc or cli. What is *wanted* lives in the snapshot; what is
//! *observed* lives in atomics behind `Arc`s that successive snapshots carry over.

mod app_node;
mod backend_node;
mod domain_node;
mod domain_times;
mod live;
mod networks;
mod on_trial;
mod pace;
mod pause_line;
mod pool;
mod publication;
mod queue;
mod rate_store;
mod rates;
mod snapshot;
mod stage;
mod switches;
mod traffic;
mod used_rates;
mod way;

pub use app_node::AppNode;
pub use backend_node::BackendNode;
pub use domain_node::{DomainNode, TagLive};
pub use domain_times::DomainTimes;
pub use live::{BackendLive, Endpoints, NotAdmitted};
pub use on_trial::OnTrial;
pub use pace::Pace;
pub use pause_line::PauseLine;
pub use pool::{Pool, Standing};
pub use publication::{Pinned, Publisher, Reader, publication};
pub use queue::{LOOK_AGAIN, NoTurn, Queue};
pub use rates::{Allowance, Rates};
pub use snapshot::{ReadyMade, Snapshot};
pub use stage::stage;
pub use switches::Switches;
pub use traffic::{Ended, Traffic, TrafficCounts};
pub(crate) use used_rates::{resume_rates, used_rates};
pub use way::{RouteNode, Way};
