//! The upgrade of a running server to another program: what it reports while it is under way and when it ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phase of an upgrade that has been reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum UpgradeProgress {
    /// The new process runs, and prepares.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// It has read the config and has its sockets; changes of the state wait until it has taken over.
    Prepared {
        /// The version of its program.
        version: String,
    },
}

/// How an upgrade ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeReport {
    /// The process that serves now.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// The process that served until now.
    pub old_pid: u32,
    /// The version of its program.
    pub old_version: String,
    /// How long changes of the state had to wait, in milliseconds.
    pub pause_ms: u64,
    /// How long all of it took, in milliseconds.
    pub took_ms: u64,
    /// Connections that the old process still serves.
    pub connections: usize,
    /// For how long it does, in milliseconds; what then still runs is cut off.
    pub drain_timeout_ms: u64,
}
