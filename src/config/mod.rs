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
mod references;
mod report;
mod schema;
mod settings;
mod source;
mod table;
mod value;

pub use arguments::{Arguments, BackendArgument, Route, listen_address};
pub use declared::{Declared, DeclaredBackend};
pub use effective::{Origin, Setting};
pub use example::example;
pub use load::{Inspection, inspect, load, load_to_start, parse};
pub use paths::{default_admin_socket, variable};
pub use problem::{ConfigError, Problem};
pub use schema::schema;
pub use settings::{
    CertificateFiles, Config, EabSettings, HealthCheckSettings, IssuerSettings,
    LetsEncryptSettings, MetricsSettings, OnDemandSettings, ProbeKind, ProxySettings,
    SwitchSettings, UpstreamSettings, remedy,
};
pub use source::Source;
