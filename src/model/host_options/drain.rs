//! What becomes of connections that have no end of their own when what they run on is left.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Seconds;

/// How requests of a tag that is left, and of backends that take no more, come to their end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// What becomes of WebSockets and event streams. With `keep` they end when the client or the backend
    /// ends them. With `{ close_after_secs = 300, spread_secs = 60 }` the server ends them: a WebSocket with
    /// the close code 1012 (Service Restart), the answer to a GET that is `text/event-stream` with its last
    /// chunk; clients then connect again. It holds for what is opened while it is set. A domain's default is
    /// its app's; otherwise it is `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websockets: Option<LeftWebSockets>,
}

impl Drain {
    /// When WebSockets and event streams are ended, where they are. What is not given here is as `below` says.
    pub fn close_after_over(&self, below: Option<&Self>) -> Option<CloseAfter> {
        let below = below.and_then(|below| below.websockets);
        self.websockets.or(below).unwrap_or_default().close_after()
    }
}

/// What becomes of WebSockets and event streams whose tag, or backend, is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeftWebSockets {
    /// They end when the client or the backend ends them.
    #[default]
    Keep,
    /// The server ends them.
    Close(CloseAfter),
}

/// When what was left is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseAfter {
    /// How long they may go on.
    pub close_after_secs: Seconds<true>,
    /// How long it takes from the first that is ended to the last; each has its moment at random.
    #[serde(default = "default_spread")]
    pub spread_secs: Seconds<true>,
}

const DEFAULT_SPREAD: Duration = Duration::from_secs(10);

fn default_spread() -> Seconds<true> {
    Seconds::of(DEFAULT_SPREAD)
}

impl LeftWebSockets {
    /// When the server ends them, where it does.
    pub fn close_after(self) -> Option<CloseAfter> {
        match self {
            Self::Keep => None,
            Self::Close(after) => Some(after),
        }
    }
}

impl CloseAfter {
    /// How long they may go on.
    pub fn after(self) -> Duration {
        self.close_after_secs.get()
    }

    /// How long it takes from the first that is ended to the last.
    pub fn spread(self) -> Duration {
        self.spread_secs.get()
    }

    /// How long it takes until the last is ended.
    pub fn in_all(self) -> Duration {
        self.after() + self.spread()
    }
}

impl Serialize for LeftWebSockets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_str("keep"),
            Self::Close(after) => after.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for LeftWebSockets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LeftVisitor)
    }
}

struct LeftVisitor;

/// What there is to choose from.
const FORMS: &str = "`keep`, or `{ close_after_secs = 300, spread_secs = 60 }`";

impl<'de> Visitor<'de> for LeftVisitor {
    type Value = LeftWebSockets;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(FORMS)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<LeftWebSockets, E> {
        match word {
            "keep" => Ok(LeftWebSockets::Keep),
            _ => Err(E::custom(format!("`{word}` doesn't fit here; choose {FORMS}"))),
        }
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<LeftWebSockets, M::Error> {
        CloseAfter::deserialize(MapAccessDeserializer::new(map)).map(LeftWebSockets::Close)
    }
}

impl JsonSchema for LeftWebSockets {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LeftWebSockets".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let described = |generator: &mut SchemaGenerator, about: &str| {
            let mut time = Seconds::<true>::json_schema(generator);
            time.insert("description".to_owned(), about.into());
            time
        };
        let after =
            described(generator, "How long they may go on after they were left, in seconds.");
        let spread = described(
            generator,
            "How long it takes from the first that is ended to the last, in seconds: each has its moment \
             at random, so that clients don't all come back at once. The default is 10.",
        );
        json_schema!({
            "anyOf": [
                { "enum": ["keep"] },
                {
                    "type": "object",
                    "description": "The server ends them.",
                    "properties": { "close_after_secs": after, "spread_secs": spread },
                    "required": ["close_after_secs"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Drain, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_left_is_kept_or_closed() {
        let keep = read(json!({ "websockets": "keep" })).unwrap();
        assert_eq!(json!(keep), json!({ "websockets": "keep" }));
        assert_eq!(json!(Drain::default()), json!({}));
        let closes = json!({ "websockets": { "close_after_secs": 300, "spread_secs": 0.5 } });
        let drain = read(closes.clone()).unwrap();
        assert_eq!(json!(drain), closes);
        let after = drain.close_after_over(None).expect("they are closed");
        assert_eq!(after.in_all(), Duration::from_millis(300_500));
        assert_eq!(keep.close_after_over(Some(&drain)), None, "what is given goes before");
        assert_eq!(Drain::default().close_after_over(Some(&drain)), Some(after));
        let now = read(json!({ "websockets": { "close_after_secs": "0" } })).unwrap();
        let after = now.close_after_over(None).expect("they are closed");
        assert_eq!((after.after(), after.spread()), (Duration::ZERO, DEFAULT_SPREAD));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (websockets, said) in [
            (json!("close"), "`keep`, or"),
            (json!(true), "expected `keep`, or"),
            (json!({}), "missing field `close_after_secs`"),
            (json!({ "close_after_secs": -1 }), "seconds (a day)"),
            (json!({ "close_after_secs": 1, "after": 1 }), "unknown field `after`"),
        ] {
            let error = read(json!({ "websockets": websockets })).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
