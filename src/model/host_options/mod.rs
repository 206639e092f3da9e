//! What a virtual host does beyond sending requests to its live tag: one file an option.
//!
//! The same keys in the config file, over the socket and over REST.

mod access;
mod access_log;
mod basic_auth;
mod compression;
mod drain;
mod error_pages;
mod foreign_variables;
mod header_edits;
mod header_text;
mod maintenance;
mod option_set;
mod path_route;
mod split_options;
mod sticky;
mod timeouts;

pub use access::{Network, RateLimit};
pub use access_log::AccessLogRule;
pub use basic_auth::{BasicAuth, PasswordHash, UserName};
pub use compression::Encoding;
pub use drain::{CloseAfter, Drain, LeftWebSockets};
pub use error_pages::{ErrorPages, MAX_PAGE_BYTES, Page, PageFor, PageText};
pub use header_edits::{HeaderEdits, HeaderField};
pub use header_text::{HeaderContent, HeaderPart, HeaderText};
pub use maintenance::{Maintenance, Pause};
pub use option_set::{HostOptions, OptionSet};
pub use path_route::{PathPrefix, PathRoute};
pub use split_options::{SplitKey, SplitOptions};
pub use sticky::Sticky;
pub use timeouts::Timeouts;

#[cfg(test)]
mod tests;
