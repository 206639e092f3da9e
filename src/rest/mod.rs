//! The REST API: HTTP that becomes calls of the methods that the admin socket has, and back.
//!
//! `routes` is the table of all that there is; the router and the `OpenAPI` document are made from it.
//! Nothing is decided here but who may come in: methods carry out, and their types say what they take.

mod api;
mod connection;
mod door;
mod guard;
mod health;
mod input;
mod json_text;
mod large;
mod openapi;
mod operation;
mod output;
mod problem;
mod revision;
mod routes;
mod shapes;
mod stream;
mod trials;

pub(crate) use api::Api;
pub(crate) use connection::Listener;
pub(crate) use door::Door;
pub use openapi::document;
