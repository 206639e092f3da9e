//! What a virtual host does beyond sending requests to its live tag: one file an option.
//!
//! The same keys in the config file, over the socket and over REST.

mod access;
mod basic_auth;
mod compression;
mod error_pages;
mod header_edits;
mod maintenance;
mod option_set;
mod path_route;
mod sticky;
mod timeouts;

pub use access::{Network, RateLimit};
pub use basic_auth::{BasicAuth, PasswordHash, UserName};
pub use compression::Encoding;
pub use error_pages::{ErrorPages, MAX_PAGE_BYTES, Page, PageFor, PageText};
pub use header_edits::{HeaderEdits, HeaderField, HeaderText};
pub use maintenance::{Maintenance, Pause};
pub use option_set::{HostOptions, OptionSet};
pub use path_route::{PathPrefix, PathRoute};
pub use sticky::Sticky;
pub use timeouts::Timeouts;

#[cfg(test)]
mod tests;
