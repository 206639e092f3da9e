//! What the benchmarks that drive the real binary share.

// Each benchmark is a program of its own, and uses its part.
#![allow(dead_code)]

pub(crate) mod authority;
pub(crate) mod client;
pub(crate) mod figures;
pub(crate) mod server;
pub(crate) mod traffic;
