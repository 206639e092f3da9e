//! What all requests share on their way.

use std::sync::Arc;

use super::stages::RequestContext;
use super::via::Via;
use crate::counters::Metrics;
use crate::proxy::host::{Host, HostServices};
use crate::proxy::limits::{Connections, Retries};
use crate::proxy::options::{Https, SharedOptions};
use crate::state::Reader;

/// What requests are carried with.
pub(crate) struct Shared {
    pub(super) options: SharedOptions,
    pub(super) reader: Reader,
    pub(super) metrics: Arc<Metrics>,
    pub(super) https: Option<Arc<Https>>,
    pub(super) hosts: HostServices,
    pub(super) retries: Retries,
    pub(super) connections: Connections,
    pub(super) via: Via,
}

impl Shared {
    pub(crate) fn new(
        options: SharedOptions,
        reader: Reader,
        metrics: Arc<Metrics>,
        https: Option<Arc<Https>>,
        hosts: HostServices,
    ) -> Self {
        let (retries, connections) = (Retries::default(), Connections::default());
        Self { options, reader, metrics, https, hosts, retries, connections, via: Via::random() }
    }

    /// What clients have of what belongs to all.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Whether the server stops, so that connections carry no further request.
    pub(crate) fn is_stopping(&self) -> bool {
        self.metrics.is_stopping()
    }

    /// In whose name a request is answered.
    pub(super) fn host<'a>(&'a self, ctx: &'a RequestContext) -> Host<'a> {
        let is_tls = ctx.client().is_some_and(|client| client.secure);
        Host::new(ctx.domain_node().map(|node| &**node), &self.hosts.pages, is_tls, ctx)
    }
}
