//! What a client, a domain and a backend may ask of the proxy at most: one file a limit.

pub(super) mod access;
pub(super) mod body;
mod connections;
pub(super) mod head;
mod heads;
mod queue;
mod rate;
mod retries;

pub(super) use body::BodyMeter;
pub(super) use connections::Connections;
pub(super) use head::check_raw;
pub(super) use heads::{HeadRefused, Heads};
pub(super) use queue::wait_for_room;
pub(super) use rate::RateFields;
pub(super) use retries::Retries;
