//! The config file: TOML text in, a validated [`Config`] or every problem of the file out.
//!
//! Knows nothing of the running server: what a file declares is compared and applied by control.

mod arguments;
mod declared;
mod document;
mod effective;
mod entries;
mod example;
mod include;
mod kind;
mod load;
mod paths;
mod plain;
mod problem;
mod reader;
mod records;
mod references;
mod report;
mod schema;
mod settings;
mod source;
mod table;
mod value;

pub(crate) use arguments::{Arguments, BackendArgument, Route, listen_address};
pub(crate) use declared::{Declared, DeclaredApp, DeclaredBackend};
pub(crate) use effective::{Origin, Setting};
pub(crate) use example::example;
pub(crate) use include::INCLUDED_KEYS;
#[cfg(test)]
pub(crate) use load::parse;
pub(crate) use load::{Inspection, inspect, inspect_text, load, load_to_start};
pub(crate) use paths::{default_admin_socket, variable};
pub(crate) use problem::{ConfigError, Problem};
pub(crate) use schema::schema;
pub(crate) use settings::{
    CallBy, Callee, CertificateFiles, Config, EabSettings, IssuerSettings, LetsEncryptSettings,
    ListenAddr, MetricsSettings, NotifySettings, OnDemandSettings, ProxySettings, Secret, remedy,
    sections,
};
pub(crate) use source::Source;
