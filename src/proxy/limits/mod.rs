//! What a client, a domain and a backend may ask of the proxy at most: one file a limit.

mod access;
mod body;
mod connections;
mod head;
mod heads;
mod queue;
mod rate;
mod requests;
mod retries;

pub(super) use access::is_denied;
pub(super) use body::{BodyMeter, declared_too_large};
pub(super) use connections::Connections;
pub(super) use head::{check_head, check_measures};
pub(super) use heads::{HeadRefused, Heads};
pub(super) use queue::wait_for_room;
pub(super) use rate::RateFields;
pub(super) use requests::{RequestShare, is_last};
pub(super) use retries::Retries;
