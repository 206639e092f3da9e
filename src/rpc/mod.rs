//! JSON-RPC 2.0 over the admin socket: one message a line.
//!
//! `envelope`, `methods` and `version` are the wire, held once for both ends. `client` is the CLI's end;
//! `socket`, `server`, `dispatch`, `views` and `fault` are the server's.

pub mod client;
mod dispatch;
pub mod envelope;
mod fault;
pub mod methods;
mod names;
mod progress;
mod server;
mod socket;
pub mod version;
mod views;

pub use dispatch::{Dispatch, ServerFacts, Warnings};
pub use server::serve;
pub use socket::{AdminSocket, SocketError};
