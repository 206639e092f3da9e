//! Keeps a certificate for each served name: decides where it comes from, gets it in time,
//! publishes it, and reports its state.
//!
//! One task does all of this, the keeper; commands reach it as messages. It follows the published
//! state, so it needs no calls about domains. `acme` talks to CAs, `proxy` serves.

mod alarm;
mod command;
mod context;
mod demand;
mod entry;
mod error;
mod export;
mod files;
mod handle;
mod job;
mod keeper;
mod plan;
mod reports;
mod stored;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use context::{CertSettings, Journal};
pub(crate) use error::CertError;
pub(crate) use handle::{Certificates, Opened};
