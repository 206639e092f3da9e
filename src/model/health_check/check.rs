//! A health check as it is made: nothing is left to say.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use super::body::ExpectedBody;
use super::headers::ProbeHeader;
use super::values::{GrpcService, HealthHost, HealthPath, ProbeKind, ProbeMethod, StatusRanges};
use crate::model::{BackendAddr, HeaderField};

/// How a backend is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What a probe does.
    pub kind: HealthCheckKind,
    /// The port that it goes to; the backend's own where there is none.
    pub port: Option<NonZeroU16>,
    /// Time between two probes.
    pub interval: Duration,
    /// Time a probe may take in all.
    pub timeout: Duration,
    /// Failures in a row that make a backend unhealthy.
    pub unhealthy_threshold: u32,
    /// Successes in a row that make it healthy.
    pub healthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            kind: HealthCheckKind::Http(HttpCheck::default()),
            port: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            unhealthy_threshold: 3,
            healthy_threshold: 2,
        }
    }
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheckKind {
    /// A request over the backend's own scheme.
    Http(HttpCheck),
    /// A call over HTTP/2.
    Grpc(GrpcCheck),
    /// A connection that is accepted.
    Tcp,
}

impl HealthCheckKind {
    /// Its name.
    pub fn kind(&self) -> ProbeKind {
        match self {
            Self::Http(_) => ProbeKind::Http,
            Self::Grpc(_) => ProbeKind::Grpc,
            Self::Tcp => ProbeKind::Tcp,
        }
    }
}

/// A request, and the answer that is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpCheck {
    /// Its method.
    pub method: ProbeMethod,
    /// The path it asks for.
    pub path: HealthPath,
    /// The host it asks for; the backend's address where there is none.
    pub host: Option<HealthHost>,
    /// Further headers.
    pub headers: BTreeMap<HeaderField, ProbeHeader>,
    /// The statuses that count as healthy.
    pub expected_status: StatusRanges,
    /// What the body must hold.
    pub expect_body: Option<ExpectedBody>,
}

/// A call of `Check` of `grpc.health.v1.Health`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrpcCheck {
    /// The service it asks about.
    pub service: GrpcService,
    /// The host it asks for; the backend's address where there is none.
    pub host: Option<HealthHost>,
    /// Further headers.
    pub headers: BTreeMap<HeaderField, ProbeHeader>,
}

impl HealthCheck {
    /// The check of a backend at this address. At a Unix socket there is no other port.
    #[must_use]
    pub fn at(mut self, address: &BackendAddr) -> Self {
        if let BackendAddr::Unix(_) = address {
            self.port = None;
        }
        self
    }

    /// Whether it asks a backend the same: the times and numbers of probes may differ.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        (&self.kind, self.port) == (&other.kind, other.port)
    }

    /// The host that is asked for where the check names none: where the probe goes.
    pub fn host_of(&self, address: &BackendAddr) -> String {
        match (self.port, address) {
            (_, BackendAddr::Unix(_)) => "localhost".to_owned(),
            (None, address) => address.without_zone(),
            (Some(port), BackendAddr::Ip(address)) => {
                std::net::SocketAddr::new(address.ip(), port.get()).to_string()
            }
            (Some(port), BackendAddr::Name { host, .. }) => {
                BackendAddr::Name { host: host.clone(), port: port.get() }.without_zone()
            }
        }
    }
}
