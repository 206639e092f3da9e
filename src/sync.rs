//! The primitives by which the writer and requests agree on who is still to be waited for.
//!
//! `tests/model` compiles [`state`](crate::state) with loom's in their place, and runs it through every order of steps that the
//! memory model allows. What decides whether a drain is right takes them from here; counters for statistics need not.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, fence};

pub(crate) use arc_swap::ArcSwap;
