//! Every method of the admin socket: one type each, with its parameters and result, and below these
//! how it runs on the server.
//!
//! Client and server share the types; nothing is declared twice. Parameters that the server does
//! not know are refused, results that a client does not know are ignored. Durations are in
//! milliseconds, points in time in milliseconds since the Unix epoch.

pub(crate) mod app;
pub(crate) mod backend;
pub(crate) mod cert;
pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod domain;
pub(crate) mod event;
pub(crate) mod log;
pub(crate) mod name;
pub(crate) mod notify;
mod open;
pub(crate) mod preview;
pub(crate) mod rollout;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod split;
pub(crate) mod state;
pub(crate) mod stats;
pub(crate) mod switch;
pub(crate) mod token;

pub(crate) use open::Open;

pub(crate) use super::method::{Changed, Confirmed, Method, NoParams};
pub(crate) use super::page::{Listed, PAGE, Page, PageParams};
