//! Keeps a certificate for each name that is served: decides where one comes from, gets it in time,
//! publishes it, and reports how it stands with it.
//!
//! One task does all of it, the keeper; commands reach it as messages. It follows the published state,
//! so nothing else has to announce domains to it. Talking to CAs is `acme`'s, serving is `proxy`'s.

mod alarm;
mod command;
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
mod shared;
mod shelf;
#[cfg(test)]
pub(crate) mod testing;

pub use error::CertError;
pub use export::Exported;
pub use handle::{Certificates, Opened};
pub use shared::{CertSettings, Journal};
