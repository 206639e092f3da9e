//! What a server hands to its successor in an upgrade, besides sockets and the state itself: one declaration for both ends.

use std::fmt;
use std::net::Ipv6Addr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::{BackendAddr, BackendId, DomainName, HealthReport, PoolName, RateLimit};

/// What a server hands to its successor. Another version may know more or fewer parts, or have changed one: a part that is
/// missing or can't be understood begins anew, as at a start, and no upgrade fails for it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Carried {
    /// What is known of the backends.
    #[serde(default, deserialize_with = "or_nothing")]
    pub backends: Vec<ObservedBackend>,
    /// The keys of session tickets, so that clients resume their sessions.
    #[serde(default, deserialize_with = "or_nothing", skip_serializing_if = "Option::is_none")]
    pub tickets: Option<TicketSecrets>,
    /// What clients have used of rate limits.
    #[serde(default, deserialize_with = "or_nothing", skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<UsedRates>,
    /// The traffic of the last minute.
    #[serde(default, deserialize_with = "or_nothing", skip_serializing_if = "Option::is_none")]
    pub traffic: Option<RecentTraffic>,
}

/// What is known of a backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedBackend {
    pub id: BackendId,
    /// Where: what was observed of another address is void.
    pub address: BackendAddr,
    /// Its health; of one that was ejected, why.
    pub health: HealthReport,
    /// Failures of traffic in a row, so far.
    #[serde(default)]
    pub failures: u32,
    /// Why the first of them failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The keys that session tickets are sealed with. They are never written anywhere but to the successor's channel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSecrets {
    /// The key of new tickets.
    pub current: TicketSecret,
    /// The key before it, whose tickets are still taken.
    pub previous: Option<TicketSecret>,
    /// When the current key is replaced, in seconds since the Unix epoch.
    pub rotates_secs: u64,
}

/// One key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSecret {
    /// What tickets name it by.
    pub name: [u8; 16],
    pub key: [u8; 32],
    /// The longest ticket that was made with it.
    pub longest: usize,
}

impl fmt::Debug for TicketSecrets {
    /// The keys stay out of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSecrets")
            .field("rotates_secs", &self.rotates_secs)
            .finish_non_exhaustive()
    }
}

/// What was used of the rate limits of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRates {
    pub domain: DomainName,
    /// Of the one that all clients share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<UsedRate>,
    /// Of the one that each client has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<UsedRate>,
}

/// What was used of one rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRate {
    /// The limit: what was used of another one is void.
    pub limit: RateLimit,
    /// How long each bucket takes until it is full again, in nanoseconds, by the key of its client.
    pub full_in_ns: Vec<(Ipv6Addr, u64)>,
}

/// The traffic of the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentTraffic {
    /// How long each step was, in milliseconds, the oldest first.
    pub steps_ms: Vec<u64>,
    /// All requests.
    pub total: Vec<StepTraffic>,
    /// Those of a domain on a tag.
    pub tags: Vec<TagTraffic>,
    /// Those of a backend.
    pub backends: Vec<BackendTraffic>,
}

/// The requests of a domain on a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagTraffic {
    pub domain: DomainName,
    pub pool: PoolName,
    pub steps: Vec<StepTraffic>,
}

/// The requests of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendTraffic {
    pub backend: BackendId,
    pub steps: Vec<StepTraffic>,
}

/// What was counted in a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTraffic {
    /// Its place in the list of steps.
    pub step: usize,
    pub requests: u64,
    pub errors: u64,
    /// Those that backends failed.
    #[serde(default)]
    pub faults: u64,
    /// By class of status.
    #[serde(default)]
    pub classes: Vec<u64>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub retries: u64,
    /// How long requests took: the cells of durations that have any, with their counts.
    pub durations: Vec<(u16, u64)>,
}

/// A part, or nothing where it can't be understood.
fn or_nothing<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: DeserializeOwned + Default,
    D: Deserializer<'de>,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_that_another_version_lacks_or_has_changed_begin_anew() {
        let backend =
            json!({ "id": "a1", "address": "127.0.0.1:1", "health": { "status": "unhealthy" } });
        let old: Carried = serde_json::from_value(json!({ "backends": [backend] })).unwrap();
        assert_eq!((old.backends[0].failures, old.backends[0].reason.as_str()), (0, ""));
        assert!(old.tickets.is_none() && old.rates.is_empty() && old.traffic.is_none());
        let newer = json!({
            "backends": [backend], "tickets": "of another form", "rates": [1], "traffic": { "steps": 7 },
            "what nobody knows yet": {},
        });
        let newer: Carried = serde_json::from_value(newer).unwrap();
        assert_eq!(newer.backends.len(), 1);
        assert!(newer.tickets.is_none() && newer.rates.is_empty() && newer.traffic.is_none());
        let nothing: Carried = serde_json::from_value(json!({})).unwrap();
        assert!(nothing.backends.is_empty());
    }

    #[test]
    fn keys_are_in_no_message_but_the_successors() {
        let secret = TicketSecret { name: [1; 16], key: [77; 32], longest: 0 };
        let tickets = Some(TicketSecrets { current: secret, previous: None, rotates_secs: 5 });
        let carried = Carried { tickets, ..Carried::default() };
        assert!(!format!("{carried:?}").contains("77"), "{carried:?}");
    }
}
