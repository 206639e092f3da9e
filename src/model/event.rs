//! What happened: the entries of the history.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DomainName, Tag, TokenName};

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "via", rename_all = "lowercase")]
pub enum Actor {
    /// A process at the admin socket, by its kernel-checked credentials.
    Socket {
        /// The user id of the peer.
        uid: u32,
        /// The process id of the peer, where the kernel tells it.
        pid: Option<i32>,
    },
    /// The holder of a token of the management API.
    Token {
        /// The token's name.
        name: TokenName,
    },
    /// The config file.
    File,
    /// The server itself, when it looks after certificates.
    Certificates,
    /// One that only a newer version knows.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { uid, pid: Some(pid) } => f.pad(&format!("uid {uid}, pid {pid}")),
            Self::Socket { uid, pid: None } => f.pad(&format!("uid {uid}")),
            Self::Token { name } => f.pad(&format!("token {name}")),
            Self::File => f.pad("config file"),
            Self::Certificates => f.pad("vhost itself"),
            Self::Unknown => f.pad("unknown"),
        }
    }
}

/// Who made something as it is, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// Who.
    pub actor: Actor,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// Domains moved, or were to move, from one tag to another.
    Switch {
        /// Each domain with the tag before and the tag after.
        steps: Vec<super::SwitchStep>,
        /// How it ended, or where it is.
        outcome: Outcome,
        /// Whether it went back to the tag before.
        #[serde(default)]
        undo: bool,
        /// Whether the gate was skipped.
        #[serde(default)]
        forced: bool,
        /// The operator's words.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A virtual host was added.
    DomainAdded {
        /// Its name.
        domain: DomainName,
        /// Its live tag.
        live: Tag,
    },
    /// A virtual host's options changed.
    DomainSet {
        /// Its name.
        domain: DomainName,
        /// What changed, each as `field: before → after`.
        changed: Vec<String>,
    },
    /// A virtual host was removed.
    DomainRemoved {
        /// Its name.
        domain: DomainName,
    },
    /// A backend was added.
    BackendAdded {
        /// Its id.
        backend: super::BackendId,
    },
    /// A backend's address, tags, weight or state changed.
    BackendSet {
        /// Its id.
        backend: super::BackendId,
        /// What changed, each as `field: before → after`.
        changed: Vec<String>,
    },
    /// A backend was removed.
    BackendRemoved {
        /// Its id.
        backend: super::BackendId,
    },
    /// Changes of the config file were applied.
    FileApplied {
        /// The file's path.
        path: String,
        /// What changed, one phrase each.
        changed: Vec<String>,
        /// The domains among it.
        #[serde(default)]
        domains: Vec<DomainName>,
    },
    /// Something happened to the certificate of a name.
    Certificate {
        /// The name.
        domain: DomainName,
        /// What.
        #[serde(flatten)]
        news: super::CertificateNews,
    },
    /// What only a newer version knows.
    #[serde(other)]
    Unknown,
}

impl EventKind {
    /// Whether it chose the tag that serves `domain`.
    pub fn sets_live_of(&self, domain: &DomainName) -> bool {
        match self {
            Self::Switch { steps, outcome, .. } => {
                !matches!(outcome, Outcome::GateFailed { .. })
                    && steps.iter().any(|step| step.domain == *domain)
            }
            Self::DomainAdded { domain: added, .. } => added == domain,
            Self::FileApplied { changed, .. } => {
                let name = format!("`{domain}`");
                let tells = |phrase: &String| {
                    phrase.contains(&name)
                        && (phrase.ends_with(" added") || phrase.contains("live: "))
                };
                changed.iter().any(tells)
            }
            Self::DomainSet { .. }
            | Self::DomainRemoved { .. }
            | Self::BackendAdded { .. }
            | Self::BackendSet { .. }
            | Self::BackendRemoved { .. }
            | Self::Certificate { .. }
            | Self::Unknown => false,
        }
    }

    /// The domains that the event is about.
    pub fn domains(&self) -> Vec<&DomainName> {
        match self {
            Self::Switch { steps, .. } => steps.iter().map(|step| &step.domain).collect(),
            Self::DomainAdded { domain, .. }
            | Self::DomainSet { domain, .. }
            | Self::DomainRemoved { domain }
            | Self::Certificate { domain, .. } => vec![domain],
            Self::FileApplied { domains, .. } => domains.iter().collect(),
            Self::BackendAdded { .. }
            | Self::BackendSet { .. }
            | Self::BackendRemoved { .. }
            | Self::Unknown => Vec::new(),
        }
    }
}

/// How a switch ended, or where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// Switched; requests of the old tag still run.
    Draining,
    /// Switched, and the old tag's requests have ended.
    Done,
    /// Switched, and the drain was not waited for.
    NotDrained,
    /// Switched, but this many requests of the old tag still ran at the drain timeout.
    DrainTimedOut {
        /// Requests that had not ended.
        remaining: usize,
    },
    /// Nothing changed: the gate failed.
    GateFailed {
        /// Why, in words.
        cause: String,
    },
    /// Switched, and moved on again before the drain had ended.
    Superseded,
    /// Switched, and the server stopped before the drain had ended.
    Interrupted,
    /// One that only a newer version knows.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining => f.pad("draining"),
            Self::Done => f.pad("done"),
            Self::NotDrained => f.pad("not drained"),
            Self::DrainTimedOut { remaining } => f.pad(&format!("{remaining} not drained")),
            Self::GateFailed { .. } => f.pad("gate failed"),
            Self::Superseded => f.pad("superseded"),
            Self::Interrupted => f.pad("interrupted"),
            Self::Unknown => f.pad("unknown"),
        }
    }
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number, growing.
    pub id: u64,
    /// The revision it led to; unchanged from the one before when nothing changed.
    pub revision: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}
