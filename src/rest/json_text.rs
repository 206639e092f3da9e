//! JSON as it is answered.

use serde::Serialize;

use crate::model::printable_json;

/// A value as JSON that a terminal can show: `curl` prints what it gets, and strangers' words may be in it.
pub(super) fn json_text(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    printable_json(&text).into_owned()
}
