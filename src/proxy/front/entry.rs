//! What listeners hand their connections to, and what every part of their beginning asks of it.

use std::net::IpAddr;
use std::sync::Arc;

use pingora::proxy::HttpProxy;

use crate::counters::{InFlight, Metrics};
use crate::model::Reason;
use crate::proxy::carry::phases::Phases;
use crate::proxy::exchange::Carrier;
use crate::proxy::limits::Connections;
use crate::proxy::memory::{Budgets, GatedConnector};
use crate::proxy::options::{ConnectionLimits, SharedOptions};
use crate::proxy::wire::head::HeadLimits;

/// What carries requests.
pub(crate) type Proxy = HttpProxy<Phases, GatedConnector>;

/// What listeners hand their connections to. Clones share everything.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) proxy: Arc<Proxy>,
    /// Carries requests to backends of HTTP/1; where there is none, `proxy` carries all.
    pub(crate) carrier: Option<Arc<Carrier>>,
    pub(crate) options: SharedOptions,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connections: Connections,
    pub(crate) budgets: Budgets,
    /// Open connections of the listener that this is for.
    pub(crate) open: Arc<InFlight>,
}

impl Front {
    pub(crate) fn new(
        proxy: Arc<Proxy>,
        carrier: Option<Arc<Carrier>>,
        options: SharedOptions,
        metrics: Arc<Metrics>,
        connections: Connections,
    ) -> Self {
        let budgets = Budgets::default();
        Self { proxy, carrier, options, metrics, connections, budgets, open: Arc::default() }
    }

    /// The same for a listener whose connections are counted in `open`, besides those of all.
    #[must_use]
    pub(crate) fn counting(&self, open: &Arc<InFlight>) -> Self {
        Self { open: Arc::clone(open), ..self.clone() }
    }

    /// What is asked of the next head.
    pub(crate) fn limits(&self) -> HeadLimits {
        let options = self.options.load();
        HeadLimits {
            idle: options.idle_timeout,
            total: options.header_timeout,
            bytes: options.max_header_bytes,
        }
    }

    /// What is asked of connections.
    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        self.options.load().connections
    }

    /// Whether a client's word on others is believed.
    pub(crate) fn trusts(&self, client: IpAddr) -> bool {
        self.options.load().trusted_proxies.iter().any(|network| network.contains(&client))
    }

    /// Counts and logs what no request came of; `error` says more than the reason does.
    pub(crate) fn refuse(
        &self,
        reason: Reason,
        status: Option<u16>,
        error: Option<&str>,
        client: IpAddr,
    ) {
        self.metrics.count_refused(reason);
        // A trusted proxy's connection is not of one client, and of no request it is known whose it is.
        let is_proxy = self.trusts(client);
        let client_ip = (!is_proxy).then(|| tracing::field::display(client));
        let peer_ip = is_proxy.then(|| tracing::field::display(client));
        tracing::info!(%reason, status, client_ip, peer_ip, error, "request refused");
    }
}
