//! What a page for people shows: the answers of some methods, put together.

use serde_json::{Map, Value, json};

use super::{Dispatch, Failure};
use crate::clock::now_ms;

/// Domains that are shown, and backends.
const MOST: usize = 100;

/// Events that are shown.
const EVENTS: usize = 20;

impl Dispatch {
    /// How the server is, as JSON: what `state.get`, `stats.get` and `event.list` answer. Nothing
    /// when one of them has no answer.
    pub async fn overview(&self) -> Option<String> {
        let made = self.read_overview().await.ok()?;
        serde_json::to_string(&made).ok()
    }

    async fn read_overview(&self) -> Result<Value, Failure> {
        let server = self.get_state(Value::Object(Map::new()))?;
        let stats = self.get_stats(json!({ "window_secs": 10, "limit": MOST })).await?;
        let mut events = self.list_events(json!({ "limit": EVENTS })).await?;
        Ok(json!({
            "now_ms": now_ms(),
            "server": server,
            "stats": stats,
            "events": events["events"].take(),
        }))
    }
}
