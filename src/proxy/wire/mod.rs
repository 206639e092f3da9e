//! What clients send, byte by byte: heads, chunks, frames and header blocks, and the rules that they
//! obey. Knows no domain and no backend.

pub(super) mod body;
pub(super) mod chunks;
pub(super) mod clock;
mod frame;
pub(super) mod frames;
pub(super) mod gather;
pub(super) mod head;
pub(super) mod header_blocks;
mod hpack;
mod huffman;
pub(super) mod malformed;
pub(super) mod request;
pub(super) mod strict;
pub(super) mod web_socket;
