//! The messages, in the order in which they are said.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Carried, Change, Outcome};

/// The version of the messages. One who speaks another is refused.
pub(crate) const PROTOCOL: u32 = 1;

/// What the server says that serves until now.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Incumbent {
    /// First of all, with its listening sockets.
    Hello(Hello),
    /// The state directory is the successor's: nobody else writes there.
    State(Carried),
    /// From now on the successor serves.
    Serve,
}

/// What its successor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Successor {
    /// It has all that it needs but the state.
    Prepared(Prepared),
    /// It has read the state, and could serve.
    Ready,
    /// It serves.
    Serving {
        /// Whether the admin socket is the one that it was given.
        keeps_admin_socket: bool,
    },
    /// It can't, and has ended.
    Refused(Refusal),
}

/// The beginning.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`PROTOCOL`] of who speaks.
    pub protocol: u32,
    /// The process.
    pub pid: u32,
    /// The sockets that come along, in their order.
    pub sockets: Vec<HeldSocket>,
    /// The program of upgrades that name none, where it is another one than that of whoever speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// Processes that it has replaced and that serve what they have. Their channels come along behind the sockets.
    pub replaced: Vec<ReplacedProcess>,
}

/// A process that was replaced, and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplacedProcess {
    /// The process.
    pub pid: u32,
    /// When it was replaced, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// A socket that listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldSocket {
    /// The key of the config that it is for.
    pub key: String,
    /// The address as the config has it: with port 0 where the kernel has chosen one.
    pub address: String,
}

/// That it could be had what a start needs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Prepared {
    /// [`PROTOCOL`] of who speaks.
    pub protocol: u32,
    /// The version of the program.
    pub version: String,
    /// The schema of its database.
    pub schema: i64,
    /// Its state directory.
    pub state_dir: PathBuf,
}

/// Why a successor can't serve.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// What failed, with its causes.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What the process that serves says to one that was replaced.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Lead {
    /// The state has changed: requests that still begin there go by it as well. The answer is what still runs.
    Changed {
        /// The revision that the changes lead to.
        revision: u64,
        /// The edits of the state.
        changes: Vec<Change>,
    },
    /// All of the state, for one that may have missed a change.
    State {
        /// Its revision.
        revision: u64,
        /// The edits that lead to it from an empty one.
        state: Vec<Change>,
    },
}

/// What a process says that was replaced, while it serves what it has.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Aftermath {
    /// What still runs there.
    Remains(Running),
    /// How a drain ended that it had begun.
    Outcome {
        /// The number of its event.
        event: u64,
        /// How.
        outcome: Outcome,
    },
}

/// What still runs in a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Open client connections.
    pub connections: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// The revision of the state that it routes by.
    pub revision: u64,
    /// Requests by domain and tag, as far as there are any.
    pub tags: Vec<OnTag>,
    /// Requests by backend, as far as there are any.
    pub backends: Vec<OnBackend>,
}

/// Requests of a domain on a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnTag {
    /// The domain.
    pub domain: String,
    /// The tag.
    pub tag: String,
    /// Its requests.
    pub requests: usize,
    /// How many of them are WebSockets.
    pub web_sockets: usize,
}

/// Requests on a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnBackend {
    /// The backend.
    pub backend: String,
    /// Its requests.
    pub requests: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A version of before knows backends alone, and passes over what it doesn't know.
    #[test]
    fn the_state_is_understood_by_versions_of_before_and_theirs_by_this_one() {
        #[derive(Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        enum Before {
            State { backends: Vec<ObservedBefore> },
        }
        #[derive(Deserialize)]
        struct ObservedBefore {
            id: String,
        }
        let health = json!({ "status": "healthy" });
        let backend = json!({ "id": "a1", "address": "127.0.0.1:1", "health": health });
        let before = json!({ "kind": "state", "backends": [backend] });
        let understood = serde_json::from_value(before).expect("it is understood");
        let Incumbent::State(carried) = understood else { panic!("another message") };
        assert_eq!(carried.backends.len(), 1);
        assert!(carried.tickets.is_none());
        let now = serde_json::to_string(&Incumbent::State(carried)).unwrap();
        let Before::State { backends } = serde_json::from_str(&now).expect("it is understood");
        assert_eq!(backends[0].id, "a1");
    }
}
