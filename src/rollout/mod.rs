//! New tags that are on trial: what their traffic says of them, and what follows from that.
//!
//! One task, the keeper, looks at each trial several times a second and takes its steps. `sight` reads what was
//! observed and asks `verdict`; `course` decides, and is pure; control makes the step. So a step is persisted before it
//! is seen, and after a crash the trial goes on from the last one.

mod baseline;
mod course;
mod keeper;
mod report;
mod sight;

pub(crate) use baseline::baseline;
pub(crate) use keeper::{Trials, WaitFor};
