//! The definition of the active health check, in layers, and what it found.

mod body;
mod check;
mod headers;
mod options;
mod report;
mod values;

pub use body::{ExpectedBody, MAX_BODY_LOOKED_AT, compile as expected_regex};
pub use check::{GrpcCheck, HealthCheck, HealthCheckKind, HttpCheck};
pub use headers::ProbeHeader;
pub use options::{HealthCheckOptions, defaults as health_check_defaults};
pub use report::{HealthReport, HealthStatus};
pub use values::{
    GrpcService, HealthHost, HealthPath, ProbeCount, ProbeKind, ProbeMethod, StatusRanges,
};
