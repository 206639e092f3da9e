//! JSON-RPC 2.0 over the admin socket: one message a line.
//!
//! `envelope`, `methods` and `version` are the wire, held once for both ends. `client` is the CLI's end;
//! `socket`, `server`, `dispatch`, the views and `fault` are the server's.

pub mod client;
mod dispatch;
pub mod envelope;
mod fault;
mod folder;
pub mod methods;
mod names;
mod progress;
mod server;
mod socket;
mod stats_view;
pub mod version;
mod views;

pub(crate) use dispatch::Call;
pub use dispatch::{Dispatch, ServerFacts, Warnings};
pub use folder::FolderError;
pub(crate) use progress::{ProgressSink, Reports};
pub(crate) use server::read_json;
pub use server::{HttpStream, ServeHttp, serve};
pub use socket::{AdminSocket, SocketError};
pub use stats_view::{stats_query, stats_report};
