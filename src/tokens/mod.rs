//! The tokens of the management API: made, stored and compared.
//!
//! All but one are stored as SHA-256 and shown once, when they are made. The server's own token is
//! stored in plain text, because `vhost ctl token show` has to show it later; whoever can read the
//! file can also replace it.

mod error;
mod file;
mod secret;
mod set;

pub(crate) use error::TokenError;
pub(crate) use file::TokenFacts;
pub(crate) use set::Tokens;
