//! Every method of the admin socket: one type each, with its parameters and result, and below these
//! how it runs on the server.
//!
//! Client and server share the types; nothing is declared twice. Parameters that the server does
//! not know are refused, results that a client does not know are ignored. Durations are in
//! milliseconds, points in time in milliseconds since the Unix epoch.

pub mod backend;
pub mod cert;
pub mod config;
pub mod domain;
pub mod event;
pub mod log;
pub mod name;
mod open;
pub mod route;
pub mod state;
pub mod stats;
pub mod switch;
pub mod token;

pub use open::Open;

pub use super::method::{Changed, Method, NoParams};
pub use super::page::{Listed, PAGE, Page, PageParams};
