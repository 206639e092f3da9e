//! What is held in memory for clients that don't take it: each connection, each client and the server
//! have a budget, and a backend is read no faster than the client takes the answer.
//!
//! Bytes that were read from a backend are counted until the last copy of them is dropped, wherever
//! Pingora and h2 keep it. A connection with an HTTP/1 backend is read only while its request's account
//! has room; with one that speaks HTTP/2, the windows do that.

mod account;
mod budget;
mod connector;
mod gate;

pub(super) use account::{Account, Held};
pub(super) use budget::{Budget, Budgets, Charge};
pub(super) use connector::{GatedConnector, gate_of, gated};
pub(super) use gate::Gate;
