//! What is shown, step by step.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::report::{Leg, Report};
use super::traffic::{DOMAIN, Site, Traffic};
use super::{backend, report};
use crate::config::{Config, DeclaredBackend, ProxySettings, Source};
use crate::model::{
    BackendOptions, DomainName, Seconds, SwitchOptions, Tag, TopOptions, VirtualHost,
};
use crate::rpc::client::{Client, ClientError};
use crate::rpc::methods::{NoParams, cert, switch};
use crate::server::{Server, ServerError};

/// How long traffic flows before a switch and after it.
const LEG_DURATION: Duration = Duration::from_secs(1);

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

/// How the demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DemoOutcome {
    /// Not one request failed.
    NoneFailed,
    SomeFailed,
    /// It was interrupted before the end.
    Interrupted,
}

/// Shows the tour; with `stay`, keeps the server running until `ended`.
///
/// # Errors
/// When the demo can't be set up.
pub(crate) async fn run(
    talk: &mut impl std::io::Write,
    stay: bool,
    mut ended: watch::Receiver<bool>,
) -> Result<DemoOutcome, DemoError> {
    let (stop_backends, stopped) = watch::channel(false);
    let mut backends = Vec::new();
    for (id, tag) in [("web-1", "a"), ("web-2", "a"), ("web-3", "b"), ("web-4", "b")] {
        let address = backend::start(id, tag, stopped.clone()).await?;
        backends.push((id, tag, address));
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
    report::introduce(talk, &site, &backends)?;

    let report = tokio::select! {
        report = show(&site, server.admin_socket()) => report?,
        _ = ended.wait_for(|ended| *ended) => return Ok(DemoOutcome::Interrupted),
    };
    report.tell(talk)?;

    if stay {
        report::invite(talk, &site, server.admin_socket())?;
        // An error means that the sender is gone, which ends it too.
        let _ = ended.wait_for(|ended| *ended).await;
    }
    stop_backends.send_replace(true);
    server.stop(std::future::pending()).await;
    Ok(if report.none_failed() { DemoOutcome::NoneFailed } else { DemoOutcome::SomeFailed })
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

/// Sends traffic, switches under it, and back.
async fn show(site: &Site, socket: &Path) -> Result<Report, ClientError> {
    let traffic = Traffic::start(site);
    tokio::time::sleep(LEG_DURATION).await;
    let mut client = Client::connect(socket).await?;
    let there = leg(&traffic, &mut client, Some("b")).await?;
    let back = leg(&traffic, &mut client, None).await?;
    Ok(Report { there, back, totals: traffic.stop().await })
}

/// Switches to `tag`, or back, under traffic, and keeps the traffic running for a while.
async fn leg(
    traffic: &Arc<Traffic>,
    client: &mut Client,
    tag: Option<&'static str>,
) -> Result<Leg, ClientError> {
    let to = tag.unwrap_or("a");
    let options = SwitchOptions::default();
    traffic.expect_any();
    let switched = if let Some(tag) = tag {
        let params =
            switch::StartParams { domains: vec![domain()], tag: Some(parsed(tag)), options };
        client.call::<switch::Start>(&params, |_| {}).await?
    } else {
        let params = switch::UndoParams { domain: domain(), options };
        client.call::<switch::Undo>(&params, |_| {}).await?
    };
    let first = traffic.expect_only(to).await;
    tokio::time::sleep(LEG_DURATION).await;
    Ok(Leg { to, switched, first })
}

fn config(folder: &Path, backends: &[(&str, &str, SocketAddr)]) -> Config {
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
    for (id, tag, address) in backends {
        config.declared.backends.push(DeclaredBackend {
            id: id.parse().expect("the demo's ids are valid"),
            address: address.to_string().parse().expect("an address displays as one"),
            tags: BTreeSet::from([parsed(tag)]),
            options: BackendOptions::default(),
            state: None,
        });
    }
    config
}

fn domain() -> DomainName {
    DOMAIN.parse().expect("the demo's domain is valid")
}

fn parsed(tag: &str) -> Tag {
    tag.parse().expect("the demo's tags are valid")
}
