//! What is exposed.

use std::sync::Arc;

use crate::certs::Certificates;
use crate::counters::{InFlight, Metrics};
use crate::state::Reader;

/// The sources of the metrics.
pub(crate) struct Exposed {
    /// The published state, with its counters.
    pub reader: Reader,
    /// The server's own counters.
    pub metrics: Arc<Metrics>,
    /// The state of certificates.
    pub certificates: Certificates,
    /// The open connections of each listener, by its URL.
    pub listeners: Vec<(String, Arc<InFlight>)>,
}
