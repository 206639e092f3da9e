//! The site that is attacked, and what stands behind it.

use tempfile::TempDir;

use super::SOON;
use super::transfers::LargeBackend;
use crate::harness::*;

/// `example.com` with a certificate; `large.test` with answers of megabytes.
pub(super) struct Stage {
    pub(super) setup: Setup,
    pub(super) backend: Backend,
    pub(super) large: LargeBackend,
    /// Where metrics are served, and the REST API if it is.
    pub(super) api: std::net::SocketAddr,
    pub(super) metrics: std::net::SocketAddr,
    authority: Authority,
    _directory: TempDir,
}

impl Stage {
    pub(super) fn new() -> Self {
        let (backend, large) = (Backend::start("web"), LargeBackend::start());
        let (authority, directory) = (Authority::new(), tempfile::tempdir().expect("a directory"));
        let files = authority.issue(&["example.com"]).write_to(directory.path(), "example");
        let tls = format!("http_to_https = false\n{}", files.tls_line());
        let [api, metrics] = free_ports(free_ip());
        let setup = Setup::new()
            .lifetime(std::time::Duration::from_mins(3))
            .set("logging.level", "\"info\"")
            // An honest client that keeps its connection asks more often than the default takes.
            .set("proxy.max_requests_per_connection", 1_000_000)
            .set("metrics.enabled", true)
            .set("metrics.listen_addr", format!("\"{metrics}\""))
            .domain_with("example.com", "a", &tls)
            .domain("large.test", "large")
            .backend(backend.id(), backend.address(), &["a"])
            .backend("large", large.address(), &["large"]);
        Self { setup, backend, large, api, metrics, authority, _directory: directory }
    }

    /// Starts the server, and waits until its backends are known to be healthy.
    pub(super) fn start(&self) -> Vhost {
        let vhost = self.setup.start();
        eventually("all are healthy", SOON, || {
            let state = vhost.rpc("state.get", serde_json::json!({})).expect("state.get answers");
            state["backends"] == state["healthy"]
        });
        vhost
    }

    /// A client that trusts the site's certificate.
    pub(super) fn tls(&self) -> TlsClient {
        TlsClient::trusting(&self.authority.pem())
    }
}
