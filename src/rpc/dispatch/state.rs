//! The methods on the server as a whole, and on names.

use std::sync::Arc;

use serde_json::Value;

use super::{Dispatch, Failure, read, write};
use crate::model::{BackendState, HealthStatus};
use crate::rpc::methods::{NoParams, name, state};
use crate::rpc::{names, views};
use crate::state::DomainNode;

impl Dispatch {
    pub(super) fn get_state(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let snapshot = self.control.snapshot();
        let ready = || snapshot.backends().filter(|node| node.backend.state == BackendState::Ready);
        let with = |status| ready().filter(|node| node.live.health() == status).count();
        let in_flight = |node: &Arc<DomainNode>| -> usize {
            node.in_flight().map(|(_, requests)| requests).sum()
        };
        let metrics = &self.facts.metrics;
        write::<state::Get>(&state::ServerInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_ms: self.facts.started_ms,
            revision: snapshot.revision(),
            listeners: self.facts.listeners.clone(),
            domains: snapshot.domains().len(),
            backends: snapshot.backends().len(),
            healthy: with(HealthStatus::Healthy),
            unhealthy: with(HealthStatus::Unhealthy),
            connections: metrics.connections.count(),
            in_flight: snapshot.domains().map(in_flight).sum(),
            requests: metrics.requests(),
            refused: metrics.refused(),
            warnings: [
                views::warnings(&snapshot),
                self.certificates.warnings(),
                (self.facts.warnings.0)(),
            ]
            .concat(),
        })
    }

    pub(super) fn complete_name(&self, params: Value) -> Result<Value, Failure> {
        let params = read(params)?;
        write::<name::Complete>(&names::complete(&self.control.snapshot(), &params))
    }
}
