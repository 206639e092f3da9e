//! Who sends requests, and over which connection.

pub(super) mod connection;
pub(super) mod downstream;
pub(super) mod forwarded;
pub(super) mod framed;
pub(super) mod given_up;
pub(super) mod pingora_head;
pub(super) mod sender;
