//! The metrics in Prometheus's format, and their listener.
//!
//! Reads the counters of the published state. Nothing here is on the request path or makes requests
//! wait.

mod backends;
mod domains;
mod exposed;
mod family;
mod ledger;
mod page;
mod process;
mod render;
mod text;
mod totals;

pub(crate) use exposed::Exposed;
pub(crate) use page::{AccessOf, Overview, StatusPage, serve};
pub(crate) use render::Exposition;
