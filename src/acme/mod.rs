//! Talks to ACME CAs (RFC 8555): accounts, orders, challenges, renewal information, and the files that
//! all of this leaves behind.
//!
//! Who needs a certificate, and when, is decided elsewhere. What the proxy answers to a CA that looks
//! at a challenge is in [`challenge`], the only part that is on the request path.

mod account;
mod ask;
mod bundle;
mod ca;
pub(crate) mod challenge;
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
pub(crate) mod schedule;
pub(crate) mod storage;
mod survey;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use ask::ask;
pub(crate) use ca::Ca;
pub(crate) use challenge::Challenges;
pub(crate) use context::Listeners;
pub(crate) use error::{AcmeError, ErrorKind};
pub(crate) use files::{MissingFile, missing_files};
pub(crate) use order::OrderRequest;
pub(crate) use renewal::RenewalWindow;
pub(crate) use storage::{Loaded, Stored};
pub use storage::{Meta, Storage};
pub(crate) use survey::{Survey, own_directories};
