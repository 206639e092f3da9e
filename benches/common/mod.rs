//! What the benchmarks that drive the real binary share.

// Each benchmark is a program of its own, and uses its part.
#![allow(dead_code)]

#[path = "../../tests/integration/harness/address.rs"]
pub(crate) mod address;
pub(crate) mod authority;
pub(crate) mod client;
pub(crate) mod figures;
#[path = "../../tests/integration/harness/rpc.rs"]
pub(crate) mod rpc;
pub(crate) mod server;
pub(crate) mod traffic;
