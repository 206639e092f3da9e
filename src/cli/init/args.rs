//! The command's arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, ValueEnum, ValueHint};

use crate::model::{AppName, BackendAddr, DomainName};

/// Write a first config file
///
/// Asks three questions on a terminal, or takes the answers from flags: the domain, where the
/// application listens, and an e-mail address for Let's Encrypt. Without an address, a public name
/// is served over plain HTTP, and any other name over HTTPS with the server's own CA. Then it
/// checks whether the domain resolves to this machine, whether the ports are free, and whether the
/// application answers; what is amiss is a warning. The file is checked as `vhost check` does, and
/// never replaces another without `--force`. Prints the two commands that start the server and
/// deploy the application.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  vhost init\n  \
                        vhost init --domain shop.example.com --backend localhost:3000 --email admin@example.com")]
pub(in crate::cli) struct InitArgs {
    /// The domain: a name, `*.` and a name, or `*` for every host
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<DomainName>,
    /// Where the application listens: `host:port`, or `unix:/path`
    #[arg(long, value_name = "ADDRESS")]
    pub backend: Option<BackendAddr>,
    /// The e-mail address for Let's Encrypt
    #[arg(long, value_name = "ADDRESS", conflicts_with = "no_email")]
    pub email: Option<String>,
    /// No Let's Encrypt: plain HTTP for a public name, the server's own CA for others
    #[arg(long)]
    pub no_email: bool,
    /// What the application is called; the default is the first label of the domain
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
    /// The file to write [default: /etc/vhost/config.toml as root, else ./vhost.toml]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// An address for plain HTTP [default: port 80 of all]
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    pub http: Vec<SocketAddr>,
    /// An address for HTTPS [default: port 443 of all]
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    pub https: Vec<SocketAddr>,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
    /// Write the file without asking once more
    #[arg(long, short)]
    pub yes: bool,
    /// How to print the result: text, or json for scripts
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: InitOutput,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum InitOutput {
    /// Text for people.
    Text,
    /// One JSON object.
    Json,
}
