//! Counters that any room may count on and the control side reads: of what is under way, of bytes that are held, of
//! how long things took, and the server's own.

mod byte_pool;
mod departure;
mod elsewhere;
mod in_flight;
mod latency;
mod metrics;
mod notified;
mod observed;

pub(crate) use byte_pool::BytePool;
pub(crate) use departure::Departure;
pub(crate) use elsewhere::{Elsewhere, Remains, Replaced};
pub(crate) use in_flight::{InFlight, InFlightGuard};
pub(crate) use latency::{BUCKETS_MICROS, Latency, LatencyCells, PackedCells};
pub(crate) use metrics::{DroppedLines, Metrics};
pub(crate) use notified::{NotifyCounts, NotifyTargets};
pub(crate) use observed::{CELLS, Observed, Sample};
