//! Finds the header blocks in the frames of an HTTP/2 connection, and makes those that are malformed
//! (RFC 9113 §8.1.1) the error of their stream.
//!
//! The h2 crate ends the connection for a character that no field may have; it cuts fragments off,
//! ignores pseudo-header fields in trailers, drops a `:scheme` that no `:authority` is beside, and forgets
//! what was malformed where a frame ends within a field. It does not decode the block of a stream that
//! depends on itself. So a block is held until it is whole, and passes in frames of our own. One that is
//! malformed becomes another one, which does the same to the table of the connection and which h2 resets
//! its stream for. One that can't be decoded becomes one for which h2 certainly ends the connection, with
//! GOAWAY.

mod blocks;
mod open_block;
mod unfinished;

pub(crate) use blocks::{HeaderBlocks, Refuse};
