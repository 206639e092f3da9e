//! The kinds of values of the file, each with its schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::config::kind;
use crate::model::BackendState;

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
    Domain: like(r"\*|(\*\.)?([^\s*/:]+|\[[0-9A-Fa-f:.]+\])");
    TagText: like("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");
    Id: like("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");
    BackendAddress: like(r"unix:/.*|[^\s/]+:[0-9]{1,5}");
    StateWord: words(
        [BackendState::Ready, BackendState::Draining, BackendState::Disabled]
            .map(BackendState::as_str)
    );
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
