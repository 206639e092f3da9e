//! The kinds of values of the file, each with its schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::TlsFiles;
use crate::config::kind;
use crate::model::{BackendState, Balance, Scheme, SendProxyProtocol};

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
    Pathname: like(".+");
    Domain: like(r"\*|(\*\.)?([^\s*/:]+|\[[0-9A-Fa-f:.]+\])");
    TagText: like("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");
    Id: like("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");
    BackendAddress: like(r"unix:/.*|[^\s/]+:[0-9]{1,5}");
    BalanceWord: like(&format!(
        "{}|hash-(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+",
        Balance::WORDS.join("|"),
    ));
    SchemeWord: words(Scheme::ALL.map(Scheme::as_str));
    SendProxyProtocolWord: words(SendProxyProtocol::ALL.map(SendProxyProtocol::as_str));
    Server: like(r"[^\s*/\[\]]+");
    StateWord: words(
        [BackendState::Ready, BackendState::Draining, BackendState::Disabled]
            .map(BackendState::as_str)
    );
}

/// Where a certificate comes from: a word, or the files of one.
#[derive(Default)]
pub(super) struct Tls;

impl JsonSchema for Tls {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Tls".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = words(["auto", "internal", "off"]);
        let files = generator.subschema_for::<TlsFiles>();
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.push(files.to_value());
        }
        schema
    }
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
    schema_of(kind::like(pattern))
}

/// One of these words.
fn words<const N: usize>(words: [&str; N]) -> Schema {
    schema_of(kind::text_or_reference(&json!({ "enum": words.as_slice() })))
}

fn schema_of(value: Value) -> Schema {
    // It is an object.
    Schema::try_from(value).unwrap_or_default()
}
