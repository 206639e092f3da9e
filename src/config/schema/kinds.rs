//! The kinds of values of the file, each with its schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::text;
use crate::model::{AccessFormat, LogFormat};
use crate::model::{
    BackendState, ChallengeKind, KeyType, LogLevel, NETWORK_LISTS, UnderscoresInHeaders,
};

/// Declares kinds, each a type without values whose schema is what the expression says.
macro_rules! kinds {
    ($($kind:ident: $schema:expr;)+) => {
        $(
            #[derive(Default)]
            pub(super) struct $kind;

            impl JsonSchema for $kind {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($kind).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    $schema
                }
            }
        )+
    };
}

kinds! {
    Seconds: json_schema!({ "type": "number", "minimum": 0.001, "maximum": 86400 });
    SecondsOrNone: json_schema!({ "type": "number", "minimum": 0, "maximum": 86400 });
    Share: json_schema!({ "type": "number", "minimum": 0, "maximum": 1 });
    Pattern: like(".+");
    Pathname: like(".+");
    Address: like(".+");
    Name: like(".+");
    Listen: like(r"(\[[0-9A-Fa-f:.]+(%[^\s%/\]]{1,15})?\]|[0-9.]+):[0-9]{1,5}");
    HealthHostText: like(r"([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?");
    TrustedProxyText: like(&format!(
        "[0-9A-Fa-f:.]+(/[0-9]{{1,3}})?|{}",
        NETWORK_LISTS.each_ref().map(|list| list.name).join("|"),
    ));
    ClientIpHeader: like("[!#$%&'*+.^`|~0-9A-Za-z-]+");
    HealthPathText: like(r"/\S*");
    Statuses: like(
        r"\s*[1-5][0-9]{2}\s*(-\s*[1-5][0-9]{2}\s*)?(,\s*[1-5][0-9]{2}\s*(-\s*[1-5][0-9]{2}\s*)?)*"
    );
    Email: like(r"[^\s@]+@[^\s@]*\.[^\s@]*");
    Domain: like(r"\*|(\*\.)?([^\s*/:]+|\[[0-9A-Fa-f:.]+\])");
    Host: like(r"[^\s*/:]+|\[[0-9A-Fa-f:.]+\]");
    TagText: like("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");
    Id: like("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");
    BackendAddress: like(r"unix:/.*|[^\s/]+:[0-9]{1,5}");
    HttpsUrl: like(r"https://[^\s/?#:][^\s]*");
    HttpUrl: like(r"https?://[^\s/?#:][^\s]*");
    KeyTypeWord: words(KeyType::ALL.map(KeyType::as_str));
    ChallengeWord: words(ChallengeKind::ALL.map(ChallengeKind::as_str));
    HealthKind: words(["http", "tcp"]);
    LogOutputWord: words(["console", "file"]);
    Level: words(LogLevel::ALL.map(LogLevel::as_str));
    AccessFormatWord: words(AccessFormat::ALL.map(AccessFormat::as_str));
    RotationWord: words(["never", "daily", "size"]);
    LogFormatWord: words(LogFormat::ALL.map(LogFormat::as_str));
    UnderscoresWord: words(UnderscoresInHeaders::ALL.map(UnderscoresInHeaders::as_str));
    StateWord: words(
        [BackendState::Ready, BackendState::Draining, BackendState::Disabled]
            .map(BackendState::as_str)
    );
}

/// A whole number in a range.
#[derive(Default)]
pub(super) struct Whole<const FROM: u32, const TO: u32>;

impl<const FROM: u32, const TO: u32> JsonSchema for Whole<FROM, TO> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Whole{FROM}To{TO}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": FROM, "maximum": TO })
    }
}

/// A text that looks like this.
fn like(pattern: &str) -> Schema {
    text(&json!({ "type": "string", "pattern": format!("^({pattern})$") })).into()
}

/// One of these words.
fn words<const N: usize>(words: [&str; N]) -> Schema {
    let words: Vec<Value> = words.into_iter().map(Value::from).collect();
    text(&json!({ "enum": words })).into()
}
