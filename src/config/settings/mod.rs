//! The settings: a table for each section, its types, and what its keys have to say together.

mod config;
mod health_check;
mod lets_encrypt;
mod listeners;
mod logging;
mod metrics;
mod proxy;
mod upstream;

pub use config::{Config, remedy};
pub(super) use config::{read, tables};
pub use health_check::{HealthCheckSettings, ProbeKind};
pub use lets_encrypt::{EabSettings, IssuerSettings, LetsEncryptSettings, OnDemandSettings};
pub(super) use listeners::{Listeners, collide};
pub use metrics::MetricsSettings;
pub use proxy::{CertificateFiles, ProxySettings};
pub use upstream::{SwitchSettings, UpstreamSettings};
