//! What both demos stand on: the server as `vhost serve` starts it, and its backends.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::sync::watch;

use super::backend::{self, Plan};
use super::traffic::{DOMAIN, Site};
use crate::config::{Config, DeclaredBackend, ProxySettings, Source};
use crate::model::{BackendOptions, DomainName, Seconds, Tag, TopOptions, VirtualHost};
use crate::rpc::client::{Client, ClientError};
use crate::rpc::methods::{NoParams, cert};
use crate::server::{Server, ServerError};

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A backend or the state directory can't be created.
    #[error("cannot set up the demo")]
    Setup(#[from] std::io::Error),
    /// The server does not start.
    #[error("cannot start the server")]
    Server(#[from] ServerError),
    /// The server refused a command.
    #[error("cannot show it")]
    Refused(#[from] ClientError),
}

/// A backend that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) plan: Plan,
    pub(super) address: SocketAddr,
}

/// The server with its backends.
pub(super) struct Stage {
    pub(super) site: Site,
    pub(super) backends: Vec<Running>,
    server: Server,
    stop_backends: watch::Sender<bool>,
    _folder: TempDir,
}

impl Stage {
    /// Starts all of it.
    ///
    /// # Errors
    /// When that fails.
    pub(super) async fn set_up(plans: &[Plan]) -> Result<Self, DemoError> {
        let (stop_backends, stopped) = watch::channel(false);
        let mut backends = Vec::new();
        for plan in plans {
            let address = backend::start(*plan, stopped.clone()).await?;
            backends.push(Running { plan: *plan, address });
        }
        let folder = tempfile::Builder::new().prefix("vhost-demo-").tempdir()?;
        let config = config(folder.path(), &backends);
        let source = Source::Made("the demo", Box::new(config.clone()));
        let server = tokio::task::spawn_blocking(move || Server::start(config, source, None, None))
            .await
            .map_err(std::io::Error::other)??;
        let site = Site {
            http: server.http_addresses().next().ok_or_else(nowhere)?,
            https: server.https_addresses().next().ok_or_else(nowhere)?,
            root: root_of(&server, folder.path()).await?,
        };
        Ok(Self { site, backends, server, stop_backends, _folder: folder })
    }

    /// The admin socket of the server.
    pub(super) fn socket(&self) -> &Path {
        self.server.admin_socket()
    }

    /// Stops all of it.
    pub(super) async fn take_down(self) {
        self.stop_backends.send_replace(true);
        self.server.stop(std::future::pending()).await;
    }
}

fn nowhere() -> std::io::Error {
    std::io::Error::other("the server has no address")
}

/// Writes the root of the server's own CA to a file, as `vhost ctl cert ca` gives it.
async fn root_of(server: &Server, folder: &Path) -> Result<PathBuf, DemoError> {
    let mut client = Client::connect(server.admin_socket()).await?;
    let authority = client.call::<cert::Ca>(&NoParams {}, |()| {}).await?;
    let path = folder.join("ca.pem");
    std::fs::write(&path, authority.cert)?;
    Ok(path)
}

fn config(folder: &Path, backends: &[Running]) -> Config {
    let mut proxy = ProxySettings::new(folder.join("admin.sock"), folder.join("state"));
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    proxy.listen_addr = Some(any_port.into());
    proxy.listen_addr_http = Some(any_port.into());
    let mut config = Config::new(proxy);
    config.health_check.check.interval_secs = Seconds::try_from(1.0).ok();
    config.declared.domains.push(VirtualHost {
        previous: None,
        beside: crate::model::Beside::default(),
        domain: domain(),
        live: parsed("a"),
        top: TopOptions { http_to_https: false, ..Default::default() },
        options: crate::model::HostOptions::default(),
    });
    for Running { plan, address } in backends {
        config.declared.backends.push(DeclaredBackend {
            id: plan.id.parse().expect("the demo's ids are valid"),
            address: address.to_string().parse().expect("an address displays as one"),
            tags: BTreeSet::from([parsed(plan.tag)]),
            options: BackendOptions::default(),
            state: None,
        });
    }
    config
}

pub(super) fn domain() -> DomainName {
    DOMAIN.parse().expect("the demo's domain is valid")
}

pub(super) fn parsed(tag: &str) -> Tag {
    tag.parse().expect("the demo's tags are valid")
}
