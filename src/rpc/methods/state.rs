//! Methods on the server as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NoParams, method};

method!(/// How the server is.
    Get, "state.get", NoParams => ServerInfo);

/// The server as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The revision of the state.
    pub revision: u64,
    /// The addresses it serves at: those of plain HTTP, then those of HTTPS.
    pub listeners: Vec<String>,
    /// How many virtual hosts there are.
    pub domains: usize,
    /// How many backends there are.
    pub backends: usize,
    /// How many of the ready ones are healthy.
    pub healthy: usize,
    /// How many of the ready ones are unhealthy.
    pub unhealthy: usize,
    /// Open client connections.
    pub connections: usize,
    /// Requests that run.
    pub in_flight: usize,
    /// Requests answered since the start.
    pub requests: u64,
    /// Requests that were refused or failed since the start, by reason; reasons that never occurred
    /// are left out.
    pub refused: BTreeMap<String, u64>,
    /// What needs a person.
    pub warnings: Vec<String>,
}
