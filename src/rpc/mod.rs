//! JSON-RPC 2.0 over the admin socket: one message a line.
//!
//! `envelope`, `version` and the types of the `methods` are the wire, held once for both ends. `client` is
//! the CLI's end; `socket`, `server`, `call`, `dispatch` and `fault` are the server's.

mod call;
pub mod catalogue;
pub(crate) mod client;
mod dispatch;
pub mod envelope;
mod fault;
mod folder;
mod lines;
mod method;
pub(crate) mod methods;
mod page;
mod peer_check;
mod progress;
mod run;
mod server;
mod socket;
pub(crate) mod version;

pub(crate) use dispatch::Call;
pub(crate) use dispatch::{Asked, Dispatch, ServerFacts, UpgradeServer, Warnings};
pub(crate) use progress::{ProgressSink, Reports};
pub(crate) use server::read_json;
pub(crate) use server::{ServeHttp, serve};
pub(crate) use socket::{AdminSocket, SocketError};
