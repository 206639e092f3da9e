//! What a server and its successor say to each other while one takes over from the other.
//!
//! The successor is a child of the server, and has one end of a socket pair as its standard input: a channel that
//! nobody else can open.

mod channel;
mod error;
mod message;

pub(crate) use channel::{Channel, ChannelError};
pub(crate) use error::UpgradeError;
pub(crate) use message::{
    Aftermath, HeldSocket, Hello, Incumbent, Lead, OnBackend, OnTag, PROTOCOL, Prepared, Refusal,
    ReplacedProcess, Running, Successor,
};
