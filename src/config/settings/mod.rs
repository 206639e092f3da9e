//! The settings: a table for each section, its types, and what its keys have to say together.

mod config;
mod health_check;
mod lets_encrypt;
mod listeners;
mod logging;
mod metrics;
mod notify;
mod proxy;
mod upstream;

pub(crate) use config::{Config, remedy, sections};
pub(super) use config::{read, tables};
pub(crate) use health_check::HealthCheckSettings;
pub(super) use health_check::rules as health_check_rules;
pub(crate) use lets_encrypt::{EabSettings, IssuerSettings, LetsEncryptSettings, OnDemandSettings};
pub(crate) use listeners::{ListenAddr, ListenAddrs};
pub(super) use listeners::{Listeners, Listens, collide};
pub(crate) use metrics::MetricsSettings;
pub(crate) use notify::{CallBy, Callee, NotifySettings, Secret};
pub(crate) use proxy::{CertificateFiles, ProxySettings};
pub(crate) use upstream::{SwitchSettings, UpstreamSettings};
