//! Talks to ACME CAs (RFC 8555): accounts, orders, challenges, renewal information, and the files that
//! all of this leaves behind.
//!
//! Who needs a certificate, and when, is decided elsewhere. What the proxy answers to a CA that looks
//! at a challenge is in [`challenge`], the only part that is on the request path.

mod account;
mod ask;
mod bundle;
mod ca;
pub mod challenge;
mod connection;
mod context;
mod dns;
mod eligible;
mod error;
mod files;
mod http_date;
mod issue;
mod order;
mod order_file;
mod prove;
mod renewal;
pub mod schedule;
pub mod storage;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trust;

pub use ask::ask;
pub use ca::Ca;
pub use challenge::Challenges;
pub use context::Listeners;
pub use error::{AcmeError, ErrorKind};
pub use files::{MissingFile, missing_files};
pub use order::{Issued, OrderRequest};
pub use renewal::RenewalWindow;
pub use storage::{Bundles, Loaded, Meta, Storage, Stored};
