//! Builds what listeners hand their connections to.

use std::sync::Arc;

use pingora::apps::HttpServerOptions;
use pingora::connectors::ConnectorOptions;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;

use super::entry::Front;
use super::handshake::Handshakes;
use super::serve::TlsFront;
use crate::counters::Metrics;
use crate::proxy::carry::phases::Phases;
use crate::proxy::carry::shared::Shared;
use crate::proxy::exchange::Carrier;
use crate::proxy::host::HostServices;
use crate::proxy::memory::GatedConnector;
use crate::proxy::options::{Https, SharedOptions};
use crate::state::Reader;

/// Which failures are tried again is decided in the phases; this is only Pingora's ceiling, above the
/// most tries that a config may ask for.
const MAX_RETRIES: usize = 100;

/// Builds the front that listeners hand their connections to.
pub(crate) fn front(
    options: SharedOptions,
    reader: Reader,
    metrics: Arc<Metrics>,
    https: Option<Arc<Https>>,
    hosts: HostServices,
) -> Front {
    let conf = Arc::new(ServerConf {
        threads: options.load().threads,
        max_retries: MAX_RETRIES,
        ..ServerConf::default()
    });
    let shared = Shared::new(Arc::clone(&options), reader, Arc::clone(&metrics), https, hosts);
    let shared = Arc::new(shared);
    let mut server_options = HttpServerOptions::default();
    // CONNECT is refused in the phases: with a log line and a counter.
    server_options.allow_connect_method_proxying = true;
    let connections = shared.connections().clone();
    let carrier = (!is_left_to_pingora())
        .then(|| Carrier::new(shared.clone(), ConnectorOptions::from_server_conf(&conf)));
    let connector = GatedConnector::new(ConnectorOptions::from_server_conf(&conf));
    let mut proxy = HttpProxy::new_custom(
        Phases::new(Arc::clone(&shared)),
        conf,
        connector,
        None,
        Some(server_options),
        None,
    );
    proxy.handle_init_modules();
    Front::new(Arc::new(proxy), carrier.map(Arc::new), options, metrics, connections)
}

/// Whether Pingora carries all requests, so that both ways can be compared.
fn is_left_to_pingora() -> bool {
    std::env::var_os("VHOST_CARRIER").is_some_and(|carrier| carrier == "pingora")
}

/// Builds the front of HTTPS listeners: handshakes, and then what `front` does.
pub(crate) fn tls_front(
    front: Front,
    https: Arc<Https>,
    reader: Reader,
    metrics: Arc<Metrics>,
) -> TlsFront {
    TlsFront::new(front, Handshakes::new(https, reader, metrics))
}
