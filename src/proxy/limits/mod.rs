//! What a client, a domain and a backend may ask of the proxy at most: one file a limit.

mod access;
mod admit;
mod body;
mod connections;
mod frames;
mod head;
mod heads;
mod queue;
mod rate;
mod retries;

use std::time::Duration;

pub(super) use admit::{RequestShare, admit, check_head, count_in, is_last, meter_body};
pub(super) use body::BodyMeter;
pub(super) use connections::Connections;
pub(super) use frames::Metered;
pub(super) use head::check_raw;
pub(super) use heads::{HeadRefused, Heads};
pub(super) use queue::wait_for_room;
pub(super) use rate::RateFields;
pub(super) use retries::Retries;

/// What one request may be.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Its header fields.
    pub headers: usize,
    /// Its target, in bytes.
    pub uri_bytes: usize,
    /// How fast its body must come; 0 is any speed.
    pub body_bytes_per_sec: u32,
    /// How long it may be slower.
    pub body_grace: Duration,
}

/// What connections may be.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// How many there may be.
    pub in_all: usize,
    /// How many of one client.
    pub per_client: u32,
    /// How many on which nothing was said yet.
    pub silent: usize,
    /// Requests at once of one client, on all of its connections.
    pub client_requests: u32,
    /// Requests on each.
    pub requests: u32,
    /// Requests at once on each of HTTP/2.
    pub h2_streams: u32,
    /// Frames that only cost, on each of HTTP/2.
    pub h2_control_frames_per_sec: u32,
}
