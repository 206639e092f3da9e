//! How long the backends of a domain may take: what is given for it, or else the general time-outs.

use std::time::Duration;

use crate::proxy::options::UpstreamOptions;
use crate::state::{BackendNode, DomainTimes};

/// How long the backends of a domain may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpstreamTimes {
    /// To be connected to, TLS included, where a backend has no time of its own.
    pub(crate) connect: Duration,
    /// To begin an answer.
    pub(crate) first_byte: Duration,
    /// To go on with it.
    pub(crate) between_bytes: Duration,
    /// To take more of a request.
    pub(crate) write: Duration,
}

impl UpstreamTimes {
    pub(crate) fn of(domain: &DomainTimes, general: &UpstreamOptions) -> Self {
        Self {
            connect: domain.connect.unwrap_or(general.connect_timeout),
            first_byte: domain.first_byte.unwrap_or(general.read_timeout),
            between_bytes: domain.between_bytes.unwrap_or(general.read_timeout),
            write: domain.unread.unwrap_or(general.write_timeout),
        }
    }

    /// How long connecting to this backend may take.
    pub(crate) fn connect_to(&self, backend: &BackendNode) -> Duration {
        backend.connect_timeout().unwrap_or(self.connect)
    }
}
