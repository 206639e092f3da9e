//! A line becomes requests (JSON-RPC 2.0 §4 and §6), within bounds.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::rpc::envelope::{Fault, RequestId, code, limit};
use crate::rpc::fault;
use crate::rpc::version::PeerVersion;

/// A request that can be carried out.
pub(super) struct Parsed {
    pub(super) id: Option<RequestId>,
    pub(super) client: Option<PeerVersion>,
    pub(super) method: String,
    pub(super) params: Value,
}

/// A request that is refused before it is carried out. A notification has no id, and gets no answer.
pub(super) struct Refused {
    pub(super) id: Option<RequestId>,
    pub(super) client: Option<PeerVersion>,
    pub(super) fault: Fault,
}

/// Reads JSON within bounds.
pub(crate) fn read_json(text: &[u8]) -> Result<Value, serde_json::Error> {
    let room = Cell::new(MAX_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Bounded(&room).deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// Reads the JSON of a line.
pub(super) fn json(line: &[u8]) -> Result<Value, Box<Fault>> {
    read_json(line).map_err(|error| {
        let fault = if error.is_data() {
            fault::of_message(code::INVALID_REQUEST, error.to_string(), None)
        } else {
            let hint = Some("send one JSON-RPC 2.0 message a line");
            fault::of_message(code::PARSE_ERROR, format!("not JSON: {error}"), hint)
        };
        Box::new(fault)
    })
}

/// Reads a request object.
pub(super) fn parse(request: Value) -> Result<Parsed, Box<Refused>> {
    let refused = |id, client, fault| Box::new(Refused { id, client, fault });
    let invalid = |id, message: &str| {
        let fault = fault::of_message(code::INVALID_REQUEST, message, Some("see JSON-RPC 2.0 §4"));
        refused(Some(id), None, fault)
    };
    let Value::Object(mut members) = request else {
        return Err(invalid(RequestId::Null, "a request is an object"));
    };
    let id = match members.remove("id") {
        None => None,
        Some(id) => Some(self::id(id).map_err(|wrong| invalid(RequestId::Null, &wrong))?),
    };
    let whose = || id.clone().unwrap_or(RequestId::Null);
    if members.remove("jsonrpc") != Some(Value::from("2.0")) {
        return Err(invalid(whose(), "`jsonrpc` is not `2.0`"));
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return Err(invalid(whose(), "`method` is missing or not a string"));
    };
    let client = match members.remove("client").map(serde_json::from_value::<PeerVersion>) {
        None => None,
        Some(Ok(client)) if client.understands(PeerVersion::OWN) => Some(client),
        Some(Ok(client)) => return Err(refused(id, Some(client), fault::version_apart(client))),
        Some(Err(error)) => return Err(invalid(whose(), &format!("`client`: {error}"))),
    };
    match members.remove("params").unwrap_or(Value::Null) {
        params @ (Value::Object(_) | Value::Null) => Ok(Parsed { id, client, method, params }),
        wrong => {
            let message = match wrong {
                Value::Array(_) => "parameters by position are not taken",
                _ => "`params` is not an object",
            };
            let hint = Some("name each: `\"params\": {\"domain\": \"example.com\"}`");
            let fault = fault::of_message(code::INVALID_PARAMS, message, hint);
            Err(refused(id, client, fault))
        }
    }
}

fn id(id: Value) -> Result<RequestId, String> {
    match serde_json::from_value(id) {
        Ok(RequestId::Text(text)) if text.len() > limit::ID => {
            Err(format!("`id` has {} bytes, and {} is the most", text.len(), limit::ID))
        }
        Ok(id) => Ok(id),
        Err(_) => Err("`id` is a whole number, a string or null".to_owned()),
    }
}

/// What the values of a line may come to: as many scalars, or a sixteenth of it of objects, which take
/// that much more memory. A line of brackets alone would otherwise become a hundred times its size.
const MAX_VALUES: usize = 1 << 20;
const OBJECT: usize = 16;

/// Builds a [`Value`] as `serde_json` does, but with a bound on its size, and without two members of
/// one name, of which one would be ignored.
#[derive(Clone, Copy)]
struct Bounded<'a>(&'a Cell<usize>);

impl Bounded<'_> {
    fn take<E: serde::de::Error>(self, cost: usize) -> Result<(), E> {
        let left =
            self.0.get().checked_sub(cost).ok_or_else(|| {
                E::custom("a request has too many values in it; send it in parts")
            })?;
        self.0.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalars {
    ($($visit:ident: $type:ty),*) => { $(
        fn $visit<E: serde::de::Error>(self, value: $type) -> Result<Value, E> {
            self.take(1).map(|()| value.into())
        }
    )* };
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.take(1).map(|()| Value::Null)
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
    scalars!(visit_str: &str, visit_string: String);

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        self.take(1)?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        self.take(OBJECT)?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the member `{name}` is there twice")));
            }
            let value = members.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
